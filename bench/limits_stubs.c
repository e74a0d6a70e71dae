/* What the machine allows: see limits.mli. The runtime's interface is the public one. */

#include <caml/alloc.h>
#include <caml/bigarray.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The blocks that a value reaches, breadth first: their addresses, as a bigarray. There are no
   more than [most]. */
value bench_blocks(value root, value most) {
  CAMLparam1(root);
  size_t room = Long_val(most), slots = 1, count = 1;
  while (slots < 2 * room) slots *= 2;
  value *blocks = malloc(room * sizeof *blocks), *seen = calloc(slots, sizeof *seen);
  if (blocks == NULL || seen == NULL) caml_raise_out_of_memory();
  blocks[0] = root;
  for (size_t i = 0; i < count; i++) {
    value block = blocks[i];
    if (Tag_val(block) >= No_scan_tag) continue;
    for (mlsize_t j = 0; j < Wosize_val(block); j++) {
      value field = Field(block, j);
      if (Is_long(field)) continue;
      size_t at = ((uint64_t)field * 0x9e3779b97f4a7c15u) >> 20;
      while (seen[at & (slots - 1)] != 0 && seen[at & (slots - 1)] != field) at++;
      if (seen[at & (slots - 1)] == field) continue;
      if (count == room) caml_failwith("more blocks than there can be");
      seen[at & (slots - 1)] = field;
      blocks[count++] = field;
    }
  }
  free(seen);
  intnat dim = count;
  CAMLreturn(caml_ba_alloc(CAML_BA_NATIVE_INT | CAML_BA_C_LAYOUT | CAML_BA_MANAGED, 1, blocks, &dim));
}

/* Copies them one behind the other, each asked of the cache in advance. */
value bench_copy_blocks(value blocks, value target) {
  value *block = Caml_ba_data_val(blocks);
  value *to = Caml_ba_data_val(target);
  intnat count = Caml_ba_array_val(blocks)->dim[0];
  for (intnat i = 0; i < count; i++) {
    if (i + 32 < count) {
      __builtin_prefetch((header_t *)block[i + 32] - 1);
      __builtin_prefetch((value *)block[i + 32] + 4);
    }
    value *from = (value *)block[i] - 1;
    mlsize_t words = Whsize_val(block[i]);
    for (mlsize_t j = 0; j < words; j++) to[j] = from[j];
    to += words;
  }
  return Val_unit;
}

/* Allocates as many blocks of the same sizes in the major heap, as far as a library may, and fills
   them with what is at hand. */
value bench_allocate_blocks(value blocks) {
  value *block = Caml_ba_data_val(blocks);
  intnat count = Caml_ba_array_val(blocks)->dim[0];
  for (intnat i = 0; i < count; i++) {
    mlsize_t words = Wosize_val(block[i]);
    int scanned = Tag_val(block[i]) < No_scan_tag;
    value new = caml_alloc_shr(words, scanned ? Tag_val(block[i]) : Abstract_tag);
    for (mlsize_t j = 0; j < words; j++) Field(new, j) = Val_long(j);
  }
  return Val_unit;
}

/* A table of fresh memory, and what no hash table can do without: to load a key, and then the
   place that it has, or to take that by one locked exchange. */
static uint64_t *table;
static size_t mask;

value bench_fresh_table(value pow) {
  size_t bytes = (size_t)16 << Long_val(pow);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) caml_failwith("mmap");
  madvise(memory, bytes, MADV_HUGEPAGE);
  table = memory;
  mask = ((size_t)1 << Long_val(pow)) - 1;
  return Val_unit;
}

static uint64_t *place(value key, uint64_t *hash) {
  memcpy(hash, String_val(key), 8);
  return table + 2 * (*hash & mask);
}

value bench_take_place(value key) {
  uint64_t hash, none = 0, *at = place(key, &hash);
  __atomic_compare_exchange_n(at, &none, hash, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return Val_unit;
}

value bench_see_place(value key) {
  uint64_t hash;
  return Val_bool(*place(key, &hash) == hash);
}
