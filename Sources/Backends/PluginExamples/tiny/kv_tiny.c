/* A small engine: LMDB in one file, a database for each space, keys with the partition in front. No options. */
#include "kv_backend.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct { uint8_t bytes[511]; } full_key; /* As long as LMDB takes; ours have up to 484 bytes. */
struct kv_store { int folder; MDB_env *env; MDB_dbi spaces[2]; _Atomic uint64_t begun, ended; };

static int32_t fail(kv_error *error, int code) {
    if (code == 0) return KV_OK;
    snprintf(error->message, sizeof error->message, "LMDB: %s; see docs/plugins.md", mdb_strerror(code));
    if (code == MDB_MAP_FULL || code == ENOSPC) return KV_FULL;
    if (code == EROFS || code == EACCES) return KV_READ_ONLY;
    if (code == EWOULDBLOCK) return KV_IN_USE;
    if (code == MDB_VERSION_MISMATCH) return KV_FOREIGN;
    if (code == MDB_PANIC) return KV_POISONED;
    return code == MDB_CORRUPTED || code == MDB_INVALID || code == MDB_PAGE_NOTFOUND ? KV_DAMAGED : KV_IO;
}
static MDB_val join(uint32_t partition, kv_span key, full_key *full) {
    uint32_t front = htonl(partition);
    size_t count = key.count < sizeof full->bytes - 4 ? key.count : sizeof full->bytes - 4;
    memcpy(full->bytes, &front, 4);
    if (count) memcpy(full->bytes + 4, key.bytes, count);
    return (MDB_val){4 + count, full->bytes};
}
/* LMDB takes the number of the newest commit, then copies its root: held up for two commits, it would copy half a root. */
static int begin_read(kv_store *store, MDB_txn **txn) {
    for (;;) {
        uint64_t ended = atomic_load(&store->ended);
        int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, txn);
        if (code || atomic_load(&store->begun) <= ended + 1) return code;
        mdb_txn_abort(*txn);
    }
}
static int commit(kv_store *store, MDB_txn *txn) {
    atomic_fetch_add(&store->begun, 1);
    int code = mdb_txn_commit(txn);
    atomic_fetch_add(&store->ended, 1);
    /* Whether the root was being written, so that nobody knows which one the disk has, shows with the next transaction. */
    MDB_txn *next = NULL;
    int state = code ? mdb_txn_begin(store->env, NULL, MDB_RDONLY, &next) : 0;
    if (next) mdb_txn_abort(next);
    /* What LMDB says when the disk took a part of a write: then hardly any space is left. */
    struct statvfs disk;
    if (code == EIO && !fstatvfs(store->folder, &disk) && disk.f_bavail * disk.f_frsize < 1 << 20) code = ENOSPC;
    return state == MDB_PANIC ? state : code;
}
static int make(kv_store *store, const char *file) {
    MDB_txn *txn = NULL;
    MDB_envinfo info;
    MDB_stat shape;
    struct stat status;
    int code = mdb_env_create(&store->env);
    if (!code) code = mdb_env_set_maxdbs(store->env, 2);
    if (!code) code = mdb_env_set_mapsize(store->env, (size_t)1 << 40);
    if (!code) code = mdb_env_open(store->env, file, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    /* To read behind the end of a file that was cut off would end the process; a page of zeros is an error. */
    if (!code && !(code = mdb_env_info(store->env, &info)) && !(code = mdb_env_stat(store->env, &shape))) {
        off_t end = (off_t)((info.me_last_pgno + 1) * shape.ms_psize);
        if (stat(file, &status) || (status.st_size < end && truncate(file, end))) code = errno;
    }
    if (!code) code = mdb_txn_begin(store->env, NULL, 0, &txn);
    for (int space = 0; !code && space < 2; space++)
        code = mdb_dbi_open(txn, space ? "metadata" : "records", MDB_CREATE, &store->spaces[space]);
    if (!code) code = commit(store, txn); else if (txn) mdb_txn_abort(txn);
    return code ? code : mdb_env_sync(store->env, 1);
}
static int32_t tiny_close(kv_store *store, kv_error *error) {
    (void)error;
    if (store->env) mdb_env_close(store->env);
    if (store->folder >= 0) flock(store->folder, LOCK_UN), close(store->folder); /* A child may have a copy of it. */
    free(store);
    return KV_OK;
}
static int32_t tiny_open(const kv_open *request, kv_store **result, kv_error *error) {
    char file[4096], fresh[4112];
    if (request->option_count) return snprintf(error->message, sizeof error->message, "this engine has no option '%s'", request->options[0].name), KV_INVALID;
    if (snprintf(file, sizeof file, "%s/tiny.mdb", request->path) >= (int)sizeof file) return fail(error, ENAMETOOLONG);
    snprintf(fresh, sizeof fresh, "%s.new", file);
    kv_store *store = calloc(1, sizeof *store);
    if (!store) return fail(error, ENOMEM);
    store->folder = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = store->folder < 0 || flock(store->folder, LOCK_EX | LOCK_NB) ? errno : 0;
    if (!code && access(file, F_OK)) { /* Made whole under another name: a crash leaves no half of it. */
        unlink(fresh);
        code = make(store, fresh);
        if (store->env) mdb_env_close(store->env);
        store->env = NULL;
        if (!code && rename(fresh, file)) code = errno;
        strcat(fresh, "-lock");
        unlink(fresh);
    }
    if (!code) code = make(store, file);
    if (!code && fsync(store->folder)) code = errno;
    if (!code) return *result = store, KV_OK;
    return tiny_close(store, error), fail(error, code);
}
static int32_t tiny_read(kv_store *store, uint32_t space, uint32_t partition, kv_span key, size_t most, kv_sink sink, void *context, kv_error *error) {
    (void)most;
    full_key full;
    MDB_val name = join(partition, key, &full), value;
    MDB_txn *txn;
    int code = begin_read(store, &txn);
    if (code) return fail(error, code);
    code = mdb_get(txn, store->spaces[space], &name, &value);
    if (!code) sink(context, (kv_span){value.mv_data, value.mv_size});
    mdb_txn_abort(txn);
    return fail(error, code == MDB_NOTFOUND ? 0 : code);
}
static int32_t tiny_scan(kv_store *store, const kv_scan *request, kv_visit visit, void *context, kv_error *error) {
    full_key after, prefix;
    MDB_val start = join(request->partition, request->after, &after), wanted = join(request->partition, request->prefix, &prefix), key, value;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    int code = begin_read(store, &txn);
    if (code) return fail(error, code);
    key = mdb_cmp(txn, store->spaces[0], &start, &wanted) > 0 ? start : wanted;
    code = mdb_cursor_open(txn, store->spaces[0], &cursor);
    for (int next = MDB_SET_RANGE; !code && !(code = mdb_cursor_get(cursor, &key, &value, next)); next = MDB_NEXT) {
        if (key.mv_size < wanted.mv_size || memcmp(key.mv_data, wanted.mv_data, wanted.mv_size)) break;
        if (request->after.count && mdb_cmp(txn, store->spaces[0], &key, &start) <= 0) continue;
        if (visit(context, (kv_span){(uint8_t *)key.mv_data + 4, key.mv_size - 4}, (kv_span){value.mv_data, value.mv_size})) break;
    }
    if (cursor) mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return fail(error, code == MDB_NOTFOUND ? 0 : code);
}
static int wipe(MDB_txn *txn, MDB_dbi space, uint32_t partition) {
    full_key full;
    MDB_val first = join(partition, (kv_span){NULL, 0}, &full), key = first, value;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, space, &cursor);
    if (code) return code;
    while (!(code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE)) && !memcmp(key.mv_data, full.bytes, 4)) {
        if ((code = mdb_cursor_del(cursor, 0))) break;
        key = first;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}
static int32_t tiny_apply(kv_store *store, const kv_operation *operations, size_t count, kv_error *error) {
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code) return fail(error, code);
    for (const kv_operation *one = operations; !code && one < operations + count; one++) {
        full_key full;
        MDB_val key = join(one->partition, one->key, &full), value = {one->value.count, (void *)one->value.bytes};
        if (one->kind == KV_PUT) code = mdb_put(txn, store->spaces[one->space], &key, &value, 0);
        else if (one->kind == KV_DELETE) code = mdb_del(txn, store->spaces[one->space], &key, NULL);
        else if (!(code = wipe(txn, store->spaces[0], one->partition))) code = wipe(txn, store->spaces[1], one->partition);
        if (code == MDB_NOTFOUND) code = 0;
    }
    if (!code) return fail(error, commit(store, txn));
    mdb_txn_abort(txn);
    return fail(error, code);
}
static int32_t tiny_statistics(kv_store *store, kv_statistics *statistics, kv_error *error) {
    MDB_txn *txn;
    MDB_stat shape;
    MDB_envinfo info;
    int code = begin_read(store, &txn);
    if (code) return fail(error, code);
    code = mdb_stat(txn, store->spaces[0], &shape);
    mdb_txn_abort(txn);
    if (!code) code = mdb_env_info(store->env, &info);
    if (!code) statistics->keys = shape.ms_entries, statistics->bytes_on_disk = (info.me_last_pgno + 1) * shape.ms_psize;
    return fail(error, code);
}
static int32_t tiny_destroy(kv_store *store, kv_error *error) {
    static const char *const names[] = {"tiny.mdb", "tiny.mdb-lock", "tiny.mdb.new", "tiny.mdb.new-lock"};
    int code = 0;
    for (int i = 0; i < 4; i++)
        if (unlinkat(store->folder, names[i], 0) && errno != ENOENT) code = errno;
    if (fsync(store->folder)) code = errno;
    return tiny_close(store, error), fail(error, code);
}
const kv_backend_table *kv_backend_plugin(uint32_t host_abi) {
    static const kv_backend_table table = {
        KV_BACKEND_ABI, sizeof(kv_backend_table), "tiny", "LMDB in a few lines of C", KV_ATOMIC_BATCHES | KV_DURABLE | KV_ORDERED_SCAN,
        (uint64_t)128 << 20, tiny_open, tiny_read, tiny_scan, tiny_apply, tiny_statistics, tiny_close, tiny_destroy};
    return host_abi == KV_BACKEND_ABI ? &table : NULL;
}
