/* Processes draw numbers from a shared counter and mark the byte of each number drawn; the
 * region is grown as needed. The same macros, used in the same way, as in the example of
 * ccan's documentation.
 *
 *     fill make PROCESSES BYTES [PATH]   makes a region, prints its path, forks
 *     fill join LETTER BYTES PATH        attaches one and marks with LETTER
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <ccan/rszshm/rszshm.h>

static void fill(struct rszshm *r, char mark, int bytes)
{
	int *counter = (int *) r->dat;
	char *marks = (char *) r->dat + sizeof(int);
	int i;

	while ((i = __sync_fetch_and_add(counter, 1)) < bytes) {
		while ((size_t) i >= r->cap - sizeof(int))
			if (rszshm_grow(r) == -1)
				err(1, "rszshm_grow");
		if (marks[i] != '\0')
			errx(1, "byte %d is %c already", i, marks[i]);
		marks[i] = mark;
		/* Whoever only updates sees what others grew. */
		if (rszshm_up(r) == -1)
			err(1, "rszshm_up");
	}
}

int main(int argc, char *argv[])
{
	struct rszshm *r;
	int n = 0, children, status, bad = 0;

	if (argc == 5 && strcmp(argv[1], "join") == 0) {
		if (!rszshm_atm(r, argv[4]))
			err(1, "rszshm_atm");
		fill(r, argv[2][0], atoi(argv[3]));
	} else if ((argc == 4 || argc == 5) && strcmp(argv[1], "make") == 0) {
		if (!rszshm_mkm(r, 4096, argc == 5 ? argv[4] : NULL))
			err(1, "rszshm_mkm");
		printf("%s\n", r->fname);
		fflush(stdout);
		children = atoi(argv[2]) - 1;
		for (n = 0; n < children; n++) {
			pid_t pid = fork();
			if (pid == -1)
				err(1, "fork");
			if (pid == 0)
				break;
		}
		fill(r, (char) ('A' + n), atoi(argv[3]));
		while (n == children && wait(&status) != -1)
			bad |= status;
	} else
		errx(2, "usage: fill make PROCESSES BYTES [PATH] | fill join LETTER BYTES PATH");
	if (rszshm_free(r) == -1)
		err(1, "rszshm_free");
	return bad != 0;
}
