// The header is C++, too.
#include <ccan/rszshm/rszshm.h>

int main()
{
	struct rszshm *r;
	if (!rszshm_mkm(r, 4096, NULL))
		return 1;
	int bad = rszshm_up(r) | rszshm_rm(r);
	return bad | rszshm_free(r);
}
