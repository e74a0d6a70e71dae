/* Written for ccan's rszshm: processes take slots of one region, and grow it. */
#include <ccan/rszshm/rszshm.h>
#include <stdio.h>
#include <sys/wait.h>

int main(void)
{
	struct rszshm *r;
	int last = 1000000, i, n;
	char *slots;

	if (!rszshm_mkm(r, 4096, NULL)) {
		perror("rszshm_mkm");
		return 1;
	}
	for (n = 0; n < 3; n++)
		if (fork() == 0)
			break;
	slots = (char *)r->dat + sizeof(int);
	while ((i = __sync_fetch_and_add((int *)r->dat, 1)) < last) {
		while ((size_t)i >= r->cap - sizeof(int))
			if (rszshm_grow(r) == -1)
				return 1;
		slots[i] = 'A' + n;
	}
	if (n < 3)
		return 0;
	while (wait(NULL) > 0)
		;
	rszshm_up(r);
	for (i = 0; i < last && slots[i]; i++)
		;
	printf("%d slots filled\n", i);
	rszshm_rm(r);
	return rszshm_free(r);
}
