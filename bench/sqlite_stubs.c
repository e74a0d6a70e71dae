/* A small client of SQLite: a file with one table, keys and values as blobs.

   The library is loaded when it is asked for, so that the benches build where it isn't: of its
   interface, which stays as it is, what is used is declared here. */

#include <caml/alloc.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <dlfcn.h>
#include <stdlib.h>

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

enum { SQLITE_ROW = 100, SQLITE_DONE = 101 };
enum { SQLITE_OPEN_READWRITE = 2, SQLITE_OPEN_CREATE = 4, SQLITE_OPEN_NOMUTEX = 0x8000 };

static const char *(*libversion)(void);
static const char *(*errmsg)(sqlite3 *);
static int (*open_v2)(const char *, sqlite3 **, int, const char *);
static int (*close_v2)(sqlite3 *);
static int (*exec)(sqlite3 *, const char *, void *, void *, char **);
static int (*prepare_v2)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
static int (*finalize)(sqlite3_stmt *);
static int (*bind_blob)(sqlite3_stmt *, int, const void *, int, void (*)(void *));
static int (*step)(sqlite3_stmt *);
static int (*reset)(sqlite3_stmt *);
static const void *(*column_blob)(sqlite3_stmt *, int);
static int (*column_bytes)(sqlite3_stmt *, int);

/* What OCaml has the address of. */
struct store {
  sqlite3 *db;
  sqlite3_stmt *insert;
  sqlite3_stmt *select;
};

static struct store *store_of(value v) { return *(struct store **)Op_val(v); }

static void check(struct store *s, int code) {
  if (code != 0) caml_failwith(errmsg(s->db));
}

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) caml_failwith(dlerror());
  return found;
}

value bench_sqlite_load(value unit) {
  void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
  if (library == NULL) library = dlopen("libsqlite3.so", RTLD_NOW);
  if (library == NULL) caml_failwith(dlerror());
  libversion = symbol(library, "sqlite3_libversion");
  errmsg = symbol(library, "sqlite3_errmsg");
  open_v2 = symbol(library, "sqlite3_open_v2");
  close_v2 = symbol(library, "sqlite3_close_v2");
  exec = symbol(library, "sqlite3_exec");
  prepare_v2 = symbol(library, "sqlite3_prepare_v2");
  finalize = symbol(library, "sqlite3_finalize");
  bind_blob = symbol(library, "sqlite3_bind_blob");
  step = symbol(library, "sqlite3_step");
  reset = symbol(library, "sqlite3_reset");
  column_blob = symbol(library, "sqlite3_column_blob");
  column_bytes = symbol(library, "sqlite3_column_bytes");
  return caml_copy_string(libversion());
}

/* The settings are the fastest that let several processes read and write: a log ahead of the
   file, nobody waits for the disk, the file is mapped. */
value bench_sqlite_open(value path) {
  struct store *s = calloc(1, sizeof *s);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (s == NULL) caml_raise_out_of_memory();
  check(s, open_v2(String_val(path), &s->db, flags, NULL));
  check(s, exec(s->db,
                "pragma busy_timeout = 10000; pragma journal_mode = wal;"
                "pragma synchronous = off; pragma mmap_size = 8589934592;"
                "create table if not exists t (k blob primary key, v blob) without rowid",
                NULL, NULL, NULL));
  check(s, prepare_v2(s->db, "insert or replace into t values (?, ?)", -1, &s->insert, NULL));
  check(s, prepare_v2(s->db, "select v from t where k = ?", -1, &s->select, NULL));
  value v = caml_alloc(1, Abstract_tag);
  *(struct store **)Op_val(v) = s;
  return v;
}

value bench_sqlite_close(value v) {
  struct store *s = store_of(v);
  finalize(s->insert);
  finalize(s->select);
  close_v2(s->db);
  free(s);
  return Val_unit;
}

value bench_sqlite_exec(value v, value statement) {
  struct store *s = store_of(v);
  check(s, exec(s->db, String_val(statement), NULL, NULL, NULL));
  return Val_unit;
}

/* Null as the last argument: the bytes stay where they are until the statement has run. */
static void bind(struct store *s, sqlite3_stmt *statement, int i, value bytes) {
  check(s, bind_blob(statement, i, String_val(bytes), caml_string_length(bytes), NULL));
}

value bench_sqlite_put(value v, value key, value data) {
  struct store *s = store_of(v);
  bind(s, s->insert, 1, key);
  bind(s, s->insert, 2, data);
  if (step(s->insert) != SQLITE_DONE) caml_failwith(errmsg(s->db));
  reset(s->insert);
  return Val_unit;
}

value bench_sqlite_get(value v, value key) {
  struct store *s = store_of(v);
  bind(s, s->select, 1, key);
  int code = step(s->select);
  if (code == SQLITE_DONE) {
    reset(s->select);
    caml_raise_not_found();
  }
  if (code != SQLITE_ROW) caml_failwith(errmsg(s->db));
  const void *data = column_blob(s->select, 0);
  value result = caml_alloc_initialized_string(column_bytes(s->select, 0), data);
  reset(s->select);
  return result;
}
