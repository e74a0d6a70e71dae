/* Every function and macro of rszshm.h, and every error. Prints a line "ok - ..." or
 * "not ok - ..." for each check. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ccan/rszshm/rszshm.h>

static int failures;

static void check(int holds, const char *what)
{
	int e = errno;

	printf("%s - C: %s\n", holds ? "ok" : "not ok", what);
	if (!holds) {
		printf("# errno: %s\n", strerror(e));
		failures++;
	}
}

#define CHECK(x) check((x) ? 1 : 0, #x)
#define FAILS(x, code) check((errno = 0, (x)) && errno == (code), #x " fails with " #code)

static sigjmp_buf jump;

static void faulted(int signal)
{
	siglongjmp(jump, signal);
}

static int faults(volatile char *at)
{
	struct sigaction action = { 0 };

	action.sa_handler = faulted;
	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(jump, 1) == 0) {
		(void) *at;
		return 0;
	}
	return 1;
}

static void arguments(void)
{
	struct rszshm s;
	struct rszshm_scan scan = RSZSHM_DFLT_SCAN;
	char longest[RSZSHM_PATH_MAX + 1];

	memset(longest, 'x', RSZSHM_PATH_MAX);
	longest[RSZSHM_PATH_MAX] = '\0';
	FAILS(rszshm_mk(NULL, 4096, NULL) == NULL, EINVAL);
	FAILS(rszshm_mk(&s, 0, NULL) == NULL, EINVAL);
	FAILS(rszshm_mk(&s, 4096, longest) == NULL, EINVAL);
	FAILS(rszshm_mk(&s, 4 * GiB, NULL) == NULL, EINVAL);
	FAILS(rszshm_mk(&s, 1, NULL, ((struct rszshm_scan) { 0, GiB, GiB, 1 })) == NULL, EINVAL);
	scan.len = UINTPTR_MAX - 4096;
	FAILS(rszshm_mk(&s, 4096, NULL, scan) == NULL, ENOMEM);
	FAILS(rszshm_mk(&s, 4096, "/nowhere/x_XXXXXX/0") == NULL, ENOENT);
	FAILS(rszshm_mk(&s, 4096, "/dev/null/0") == NULL, ENOTDIR);
	FAILS(rszshm_mk(&s, 4096, "/dev/null") == NULL, EEXIST);
	FAILS(rszshm_at(&s, longest) == NULL, EINVAL);
	FAILS(rszshm_at(&s, NULL) == NULL, EINVAL);
	FAILS(rszshm_at(&s, "") == NULL, EINVAL);
	FAILS(rszshm_at(&s, "/nowhere/0") == NULL, ENOENT);
	FAILS(rszshm_at(&s, "/dev/null") == NULL, ENODATA);
}

static void region(void)
{
	struct rszshm s, t, *r;
	struct rszshm_scan scan = RSZSHM_DFLT_SCAN;
	struct stat st;
	char path[RSZSHM_PATH_MAX];
	char *stale;
	int status;

	CHECK(rszshm_mk(&s, 4096, NULL) != NULL);
	CHECK(strlen(s.fname) == strlen(RSZSHM_DFLT_FNAME) && strstr(s.fname, "XXXXXX") == NULL);
	CHECK((void *) s.hdr == RSZSHM_DFLT_SCAN.start && s.hdr->addr == s.hdr);
	CHECK(s.hdr->max == 4 * GiB && s.hdr->flen == s.flen && s.flen == 8192);
	CHECK(s.dat == (char *) s.hdr + sizeof(*s.hdr) && s.cap == s.flen - sizeof(*s.hdr));
	scan.iter = 1;
	FAILS(rszshm_mk(&t, 4096, NULL, scan) == NULL, ENOSPC);
	FAILS(rszshm_at(&t, s.fname) == NULL, ENOSPC);
	FAILS(rszshm_rmdir(&s) == -1, ENOTEMPTY);
	CHECK(rszshm_dt(&s) == 0 && s.fd == -1 && s.dat == NULL && s.cap == 0);
	CHECK(rszshm_dt(&s) == 0);
	FAILS(rszshm_grow(&s) == -1, EBADF);
	CHECK(rszshm_rm(&s) == 0);
	FAILS(rszshm_unlink(&s) == -1, ENOENT);

	CHECK(rszshm_mkm(r, 4096, NULL) != NULL);
	strcpy(path, r->fname);
	fflush(stdout);
	if (fork() == 0) {
		/* Not the parent's handle: a mapping of its own. */
		struct rszshm *q = NULL;
		int good;
		if (rszshm_free(r) != 0 || r != NULL || rszshm_atm(q, path) == NULL)
			_exit(1);
		good = rszshm_up(q) == 0 && rszshm_grow(q) == 1 && q->flen == 16384;
		*(int *) q->dat = 42;
		((char *) q->dat)[q->cap - 1] = 'z';
		_exit(good && rszshm_free(q) == 0 ? 0 : 1);
	}
	CHECK(wait(&status) > 0 && status == 0);
	CHECK(*(int *) r->dat == 42);
	CHECK(r->flen == 8192 && rszshm_up(r) == 1 && r->flen == 16384 && rszshm_up(r) == 0);
	CHECK(((char *) r->dat)[r->cap - 1] == 'z');
	CHECK(rszshm_grow(r) == 1 && r->flen == 32768);
	CHECK(stat(path, &st) == 0 && st.st_size == 32768);
	CHECK((fcntl(r->fd, F_GETFD) & FD_CLOEXEC) != 0);
	CHECK(truncate(path, 4096) == 0);
	FAILS(rszshm_grow(r) == -1, ENODATA);
	stale = (char *) r->dat;
	CHECK(!faults(stale));
	CHECK(rszshm_dt(r) == 0);
	CHECK(faults(stale));
	FAILS(rszshm_at(r, path) == NULL, ENODATA);
	CHECK(truncate(path, 32768) == 0 && rszshm_at(r, path) != NULL && r->flen == 32768);
	CHECK(rszshm_free(r) == 0 && r == NULL);
	CHECK(rszshm_atm(r, "/dev/null") == NULL && r == NULL);
	CHECK(rszshm_at(&s, path) != NULL && rszshm_rm(&s) == 0 && rszshm_dt(&s) == 0);
	strcpy(s.fname, "bare");
	FAILS(rszshm_rmdir(&s) == -1, ENOTDIR);
}

static void limits(void)
{
	struct rszshm s;
	struct rszshm_scan scan = { (void *) (48 * TiB), 5 * 4096, TiB, 3 };

	CHECK(rszshm_mk(&s, 1, NULL, scan) != NULL && (void *) s.hdr == (void *) (48 * TiB));
	CHECK(rszshm_grow(&s) == 1 && rszshm_grow(&s) == 1 && s.flen == 4 * 4096);
	CHECK(rszshm_grow(&s) == 1 && s.flen == 5 * 4096);
	FAILS(rszshm_grow(&s) == -1, ENOMEM);
	CHECK(rszshm_rm(&s) == 0 && rszshm_dt(&s) == 0);
}

int main(void)
{
	arguments();
	region();
	limits();
	return failures != 0;
}
