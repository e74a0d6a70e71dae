/* A small client of LMDB: an environment in one file, with at most one transaction at a time.

   The library is loaded when it is asked for, so that the benches build where it isn't: of its
   interface, which has been the same since 0.9.0, what is used is declared here. */

#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <dlfcn.h>
#include <stdlib.h>

typedef struct MDB_env MDB_env;
typedef struct MDB_txn MDB_txn;
typedef unsigned int MDB_dbi;
typedef struct {
  size_t size;
  void *data;
} MDB_val;

enum { MDB_NOSUBDIR = 0x4000, MDB_NOSYNC = 0x10000, MDB_RDONLY = 0x20000 };
enum { MDB_NOTFOUND = -30798 };

static char *(*version)(int *, int *, int *);
static char *(*message)(int);
static int (*env_create)(MDB_env **);
static int (*env_set_mapsize)(MDB_env *, size_t);
static int (*env_open)(MDB_env *, const char *, unsigned, unsigned);
static void (*env_close)(MDB_env *);
static int (*txn_begin)(MDB_env *, MDB_txn *, unsigned, MDB_txn **);
static int (*txn_commit)(MDB_txn *);
static void (*txn_reset)(MDB_txn *);
static int (*txn_renew)(MDB_txn *);
static int (*dbi_open)(MDB_txn *, const char *, unsigned, MDB_dbi *);
static int (*get)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *);
static int (*put)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *, unsigned);

/* What OCaml has the address of. */
struct store {
  MDB_env *env;
  MDB_dbi dbi;
  MDB_txn *writing;
  MDB_txn *reading; /* begun once, then reset and renewed, as LMDB's documentation advises */
};

static struct store *store_of(value v) { return *(struct store **)Op_val(v); }

static void check(int code) {
  if (code != 0) caml_failwith(message(code));
}

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) caml_failwith(dlerror());
  return found;
}

value bench_lmdb_load(value unit) {
  void *library = dlopen("liblmdb.so.0", RTLD_NOW);
  if (library == NULL) library = dlopen("liblmdb.so", RTLD_NOW);
  if (library == NULL) caml_failwith(dlerror());
  version = symbol(library, "mdb_version");
  message = symbol(library, "mdb_strerror");
  env_create = symbol(library, "mdb_env_create");
  env_set_mapsize = symbol(library, "mdb_env_set_mapsize");
  env_open = symbol(library, "mdb_env_open");
  env_close = symbol(library, "mdb_env_close");
  txn_begin = symbol(library, "mdb_txn_begin");
  txn_commit = symbol(library, "mdb_txn_commit");
  txn_reset = symbol(library, "mdb_txn_reset");
  txn_renew = symbol(library, "mdb_txn_renew");
  dbi_open = symbol(library, "mdb_dbi_open");
  get = symbol(library, "mdb_get");
  put = symbol(library, "mdb_put");
  return caml_copy_string(version(NULL, NULL, NULL));
}

value bench_lmdb_open(value path, value mapsize) {
  struct store *s = calloc(1, sizeof *s);
  MDB_txn *txn;
  if (s == NULL) caml_raise_out_of_memory();
  check(env_create(&s->env));
  check(env_set_mapsize(s->env, Long_val(mapsize)));
  check(env_open(s->env, String_val(path), MDB_NOSUBDIR | MDB_NOSYNC, 0644));
  check(txn_begin(s->env, NULL, 0, &txn));
  check(dbi_open(txn, NULL, 0, &s->dbi));
  check(txn_commit(txn));
  check(txn_begin(s->env, NULL, MDB_RDONLY, &s->reading));
  txn_reset(s->reading);
  value v = caml_alloc(1, Abstract_tag);
  *(struct store **)Op_val(v) = s;
  return v;
}

value bench_lmdb_close(value v) {
  struct store *s = store_of(v);
  txn_commit(s->reading);
  env_close(s->env);
  free(s);
  return Val_unit;
}

value bench_lmdb_begin_write(value v) {
  check(txn_begin(store_of(v)->env, NULL, 0, &store_of(v)->writing));
  return Val_unit;
}

value bench_lmdb_commit(value v) {
  check(txn_commit(store_of(v)->writing));
  return Val_unit;
}

value bench_lmdb_begin_read(value v) {
  check(txn_renew(store_of(v)->reading));
  return Val_unit;
}

value bench_lmdb_end_read(value v) {
  txn_reset(store_of(v)->reading);
  return Val_unit;
}

static MDB_val bytes_of(value v) {
  MDB_val bytes = {caml_string_length(v), (void *)String_val(v)};
  return bytes;
}

value bench_lmdb_put(value v, value key, value data) {
  struct store *s = store_of(v);
  MDB_val k = bytes_of(key), d = bytes_of(data);
  check(put(s->writing, s->dbi, &k, &d, 0));
  return Val_unit;
}

value bench_lmdb_get(value v, value key) {
  struct store *s = store_of(v);
  MDB_val k = bytes_of(key), d;
  int code = get(s->reading, s->dbi, &k, &d);
  if (code == MDB_NOTFOUND) caml_raise_not_found();
  check(code);
  return caml_alloc_initialized_string(d.size, d.data);
}
