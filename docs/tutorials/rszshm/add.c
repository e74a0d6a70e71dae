#include <ccan/rszshm/rszshm.h>
#include <stdio.h>

int main(void)
{
	struct rszshm r;
	long *counter = rszshm_at(&r, "counter.region");

	if (counter == NULL) {
		perror("counter.region");
		return 1;
	}
	printf("C sees %ld\n", __atomic_add_fetch(counter, 1000, __ATOMIC_SEQ_CST));
	return rszshm_dt(&r);
}
