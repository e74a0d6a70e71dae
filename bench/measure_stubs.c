/* Touching memory: see measure.mli. */

#include <caml/mlvalues.h>
#include <stddef.h>
#include <sys/mman.h>

/* In huge pages where there are some, because that is faster. */
value bench_touch(value bytes) {
  size_t len = Long_val(bytes);
  char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
  if (p == MAP_FAILED) return Val_unit;
  madvise(p, len, MADV_HUGEPAGE);
  for (size_t at = 0; at < len; at += 4096) ((volatile char *)p)[at] = 1;
  munmap(p, len);
  return Val_unit;
}
