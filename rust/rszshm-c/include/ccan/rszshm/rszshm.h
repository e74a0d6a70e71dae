/* Shared memory at one address in every process, which grows in place.
 *
 * The C interface of hh_shared's Rszshm, with the names, macros and structures of ccan's
 * rszshm, so that programs written for that one compile unchanged:
 *
 *     cc -I<include> program.c -L<lib> -lrszshm
 *
 * It needs nothing but this file and librszshm.a. OCaml programs attach the same files
 * through the module Rszshm.
 *
 * What differs from ccan's:
 * - lengths are 64 bits wide throughout;
 * - nothing that is mapped already is ever replaced;
 * - storage is reserved before it is used: a full file system is ENOSPC from rszshm_mk,
 *   rszshm_at, rszshm_up or rszshm_grow, not a SIGBUS later;
 * - growing takes no lock: forked children exclude each other like unrelated processes, and
 *   one that stops or dies in the middle of growing stops nobody;
 * - the header is a whole cache line, carries a checksum, and is checked: a file that is
 *   something else, or was cut, is refused with ENODATA. Files of ccan's own are something
 *   else;
 * - descriptors are closed on exec.
 *
 * A handle is one thread's at a time. Every process, and every handle, maps what others
 * added at its next rszshm_up or rszshm_grow.
 */
#ifndef CCAN_RSZSHM_H
#define CCAN_RSZSHM_H

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Binary units, in bytes. */
#define KiB (1024UL)
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)
#define TiB (1024 * GiB)

/* Where to look for free addresses: at start, start - hop, start + hop, start - 2 * hop, and
 * so on, iter addresses in all; len bytes are kept free, the most a region can grow to.
 * start and hop are multiples of the page size. */
struct rszshm_scan {
	void *start;
	size_t len;
	size_t hop;
	unsigned iter;
};

/* 4 GiB at 64 TiB, in hops of 1 TiB, 10 tries. */
#define RSZSHM_DFLT_SCAN ((struct rszshm_scan) { (void *) (64 * TiB), 4 * GiB, 1 * TiB, 10 })

/* The beginning of every region and of its file: one cache line. */
struct rszshm_hdr {
	size_t flen;             /* the file's length in use; grows; read it atomically */
	size_t max;              /* the most it can become */
	void *addr;              /* where every process maps it */
	unsigned long check_[5]; /* magic, version, checksum */
};

/* The longest path of a region, with its end. */
#define RSZSHM_PATH_MAX 128
/* Where a region's file is made when no path is given. */
#define RSZSHM_DFLT_FNAME "/dev/shm/rszshm_XXXXXX/0"

/* A mapped region, as this process has it. */
struct rszshm {
	int fd;                      /* the file; -1 once detached */
	size_t flen;                 /* how much of it is mapped, the header included */
	char fname[RSZSHM_PATH_MAX]; /* its path */
	struct rszshm_hdr *hdr;      /* the mapping */
	void *dat;                   /* the program's part of it, behind the header */
	size_t cap;                  /* the length of that part */
	size_t max_;                 /* how much address space is kept */
};

/* Makes a region with flen bytes of data, all zero (rounded up so that header and data are
 * whole pages), in a new file.
 *
 * fname must not exist. If its directory ends with XXXXXX, a new directory with a unique name
 * takes its place (0700, the file 0600; else the file is 0666 before umask). If it is NULL, it
 * is RSZSHM_DFLT_FNAME. The argument scan may be left out, for RSZSHM_DFLT_SCAN; put a compound
 * literal in parentheses.
 *
 * Returns r->dat; or NULL, and then nothing is left behind, and errno is EINVAL (a zero where
 * there must be none, a path that is too long, a span that is too short), ENOSPC (no address is
 * free, or the file system is full), ENOMEM (more than the address space holds), EEXIST, ENOENT,
 * ENOTDIR, ... (the file cannot be made). */
void *rszshm_mk(struct rszshm *r, size_t flen, const char *fname, struct rszshm_scan scan);
#define rszshm_mk(...) rszshm_mk(RSZSHM_FOUR_(__VA_ARGS__, RSZSHM_DFLT_SCAN, 0))
#define RSZSHM_FOUR_(r, flen, fname, scan, ...) r, flen, fname, scan

/* Maps an existing region at its address. Not for children forked by a process that has it:
 * they have it too.
 *
 * Returns r->dat; or NULL, and then errno is ENODATA (the file is no region, or was cut),
 * ENOSPC (this process uses some of the addresses, or the file has holes and its file system is
 * full), EINVAL (no path, or one that is too long), ENOENT, ENOTDIR, ... (it cannot be opened). */
void *rszshm_at(struct rszshm *r, const char *fname);

/* Detaches: writes the data to the medium, unmaps and closes. All of r but fname is reset; again
 * is nothing. Returns 0, or -1 if writing failed (it is detached all the same). */
int rszshm_dt(struct rszshm *r);

/* Maps what others added. Returns 1, 0 if there is nothing new, or -1 (ENODATA: the file was
 * cut, or its length makes no sense). Where there is nothing new it costs a load. */
int rszshm_up(struct rszshm *r);
#define rszshm_up(r)                                                                       \
	(assert(r), (r)->flen == __atomic_load_n(&(r)->hdr->flen, __ATOMIC_ACQUIRE)        \
	                ? 0 : rszshm_up(r))

/* Doubles the region, up to its maximum, unless others did since the last rszshm_up: then maps
 * what they added. Returns 1, or -1 (ENOMEM: it is at its maximum; ENOSPC: there is no room;
 * and as rszshm_up). */
int rszshm_grow(struct rszshm *r);

/* Removes the file's name. Who has the region keeps it. Returns what unlink returns. */
int rszshm_unlink(struct rszshm *r);

/* Removes the file's directory. Returns what rmdir returns; ENOTDIR if fname names none. */
int rszshm_rmdir(struct rszshm *r);

#if defined(__GNUC__)
/* As rszshm_mk with three arguments, with a handle from malloc, assigned to r; NULL on failure. */
#define rszshm_mkm(r, flen, fname)                                                         \
	__extension__({                                                                    \
		void *dat_ = NULL;                                                         \
		(r) = (struct rszshm *) malloc(sizeof(struct rszshm));                     \
		if ((r) != NULL && (dat_ = rszshm_mk((r), flen, fname)) == NULL) {         \
			free(r);                                                           \
			(r) = NULL;                                                        \
		}                                                                          \
		dat_;                                                                      \
	})

/* As rszshm_at, with a handle from malloc, assigned to r; NULL on failure. */
#define rszshm_atm(r, fname)                                                               \
	__extension__({                                                                    \
		void *dat_ = NULL;                                                         \
		(r) = (struct rszshm *) malloc(sizeof(struct rszshm));                     \
		if ((r) != NULL && (dat_ = rszshm_at((r), fname)) == NULL) {               \
			free(r);                                                           \
			(r) = NULL;                                                        \
		}                                                                          \
		dat_;                                                                      \
	})

/* rszshm_unlink, and if that worked rszshm_rmdir. Returns 0 or -1. */
#define rszshm_rm(r)                                                                       \
	__extension__({                                                                    \
		struct rszshm *r_ = (r);                                                   \
		assert(r_);                                                                \
		rszshm_unlink(r_) == 0 ? rszshm_rmdir(r_) : -1;                            \
	})

/* rszshm_dt, then frees the handle, which becomes NULL. Returns what rszshm_dt returns. */
#define rszshm_free(r)                                                                     \
	__extension__({                                                                    \
		int ret_ = rszshm_dt(r);                                                   \
		free(r);                                                                   \
		(r) = NULL;                                                                \
		ret_;                                                                      \
	})
#endif

#ifdef __cplusplus
}
#endif

#endif
