/*
 * An engine for tests that does what its option `fault` says, and apart from that works, in memory. The option `code` is the
 * answer where the fault is an answer. A store is never freed, so that a call after close can be noticed and counted.
 */
#include "kv_backend.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES = 64, LONGEST = 4096 };

typedef struct { uint32_t space, partition; size_t key_length, length; unsigned char key[512], value[LONGEST]; } entry;

struct kv_store {
    char fault[64];
    int32_t code;
    atomic_int calls, is_closed;
    size_t count;
    entry entries[ENTRIES];
};

/* Calls that reached a store which was closed, or was being closed. */
static atomic_uint late_calls;

static int is(const kv_store *store, const char *fault) { return strcmp(store->fault, fault) == 0; }

static void begin(kv_store *store) {
    atomic_fetch_add(&store->calls, 1);
    if (atomic_load(&store->is_closed)) atomic_fetch_add(&late_calls, 1);
}

static void end(kv_store *store) {
    if (atomic_load(&store->is_closed)) atomic_fetch_add(&late_calls, 1);
    atomic_fetch_sub(&store->calls, 1);
}

/* A text that fills its field and has no NUL. */
static int32_t answer(kv_store *store, kv_error *error) {
    if (store->code != KV_OK) {
        memset(error->message, 'm', sizeof error->message);
        memset(error->cause, '\n', sizeof error->cause);
    }
    return store->code;
}

static int32_t open_store(const kv_open *request, kv_store **result, kv_error *error) {
    kv_store *store = calloc(1, sizeof *store);
    if (store == NULL) return KV_IO;
    for (uint32_t i = 0; i < request->option_count; i++) {
        const kv_option *option = &request->options[i];
        if (strcmp(option->name, "fault") == 0) strncpy(store->fault, option->value, sizeof store->fault - 1);
        else if (strcmp(option->name, "code") == 0) store->code = atoi(option->value);
        else {
            strncpy(error->message, "unknown option", sizeof error->message - 1);
            strncpy(error->cause, option->value, sizeof error->cause - 1);
            return KV_INVALID;
        }
    }
    if (is(store, "open") && store->code != KV_OK) return answer(store, error);
    if (!is(store, "no store")) *result = store;
    return KV_OK;
}

static int compare(const entry *entry, uint32_t space, uint32_t partition, kv_span key) {
    if (entry->space != space) return entry->space < space ? -1 : 1;
    if (entry->partition != partition) return entry->partition < partition ? -1 : 1;
    size_t shorter = entry->key_length < key.count ? entry->key_length : key.count;
    int order = shorter > 0 ? memcmp(entry->key, key.bytes, shorter) : 0;
    return order != 0 ? order : entry->key_length < key.count ? -1 : entry->key_length > key.count;
}

static size_t find(kv_store *store, uint32_t space, uint32_t partition, kv_span key) {
    size_t at = 0;
    while (at < store->count && compare(&store->entries[at], space, partition, key) < 0) at++;
    return at;
}

static int32_t read_value(
    kv_store *store, uint32_t space, uint32_t partition, kv_span key, size_t max_bytes, kv_sink sink, void *context,
    kv_error *error
) {
    (void)max_bytes;
    begin(store);
    size_t at = find(store, space, partition, key);
    if (at < store->count && compare(&store->entries[at], space, partition, key) == 0 && !is(store, "never")) {
        entry *found = &store->entries[at];
        kv_span value = {found->value, found->length};
        if (is(store, "negative length")) value.count = SIZE_MAX;
        if (is(store, "huge length")) value.count = SIZE_MAX / 2;
        if (is(store, "no bytes")) value.bytes = NULL;
        if (is(store, "short")) value.count = 10;
        if (is(store, "half")) value.count -= 1;
        if (is(store, "flipped bit")) found->value[found->length - 1] ^= 1;
        if (is(store, "slow")) usleep(200);
        sink(context, value);
        if (is(store, "twice")) sink(context, value);
    }
    end(store);
    return is(store, "read") ? answer(store, error) : KV_OK;
}

static int32_t scan(kv_store *store, const kv_scan *request, kv_visit visit, void *context, kv_error *error) {
    begin(store);
    int is_over = 0;
    for (size_t i = 0; i < store->count && (!is_over || is(store, "does not stop")); i++) {
        entry *each = &store->entries[is(store, "backwards") ? store->count - 1 - i : i];
        if (each->space != KV_RECORDS || each->partition != request->partition) continue;
        kv_span key = {each->key, each->key_length}, value = {each->value, each->length};
        if (!is(store, "ignores after") && compare(each, KV_RECORDS, request->partition, request->after) <= 0) continue;
        size_t prefix = request->prefix.count;
        int has_prefix = prefix <= key.count && (prefix == 0 || memcmp(key.bytes, request->prefix.bytes, prefix) == 0);
        if (!is(store, "ignores prefix") && !has_prefix) continue;
        if (is(store, "empty key")) key.count = 0;
        if (is(store, "long key")) key.count = 481;
        if (is(store, "negative key")) key.count = SIZE_MAX;
        if (is(store, "no key")) key.bytes = NULL;
        if (is(store, "unreadable")) value = (kv_span){NULL, 0};
        if (is(store, "huge value")) value.count = SIZE_MAX / 2;
        if (is(store, "negative value")) value.count = SIZE_MAX;
        is_over = visit(context, key, value) != 0;
        if (is(store, "repeats")) is_over = visit(context, key, value) != 0;
    }
    end(store);
    return is(store, "scan") ? answer(store, error) : KV_OK;
}

static void change(kv_store *store, const kv_operation *operation) {
    size_t at = find(store, operation->space, operation->partition, operation->key);
    entry *found = &store->entries[at];
    int is_there = at < store->count && compare(found, operation->space, operation->partition, operation->key) == 0;
    if (operation->kind == KV_DELETE && is_there) {
        memmove(found, found + 1, (store->count - at - 1) * sizeof *found);
        store->count--;
    }
    if (operation->kind != KV_PUT || (!is_there && store->count == ENTRIES) || operation->value.count > LONGEST) return;
    if (!is_there) {
        memmove(found + 1, found, (store->count - at) * sizeof *found);
        store->count++;
    }
    found->space = operation->space;
    found->partition = operation->partition;
    found->key_length = operation->key.count;
    found->length = operation->value.count;
    memcpy(found->key, operation->key.bytes, operation->key.count);
    if (operation->value.count > 0) memcpy(found->value, operation->value.bytes, operation->value.count);
}

static int32_t apply(kv_store *store, const kv_operation *operations, size_t count, kv_error *error) {
    begin(store);
    if (!is(store, "apply") || store->code == KV_OK) {
        for (size_t i = 0; i < count; i++) change(store, &operations[i]);
    }
    end(store);
    return is(store, "apply") ? answer(store, error) : KV_OK;
}

static int32_t statistics(kv_store *store, kv_statistics *statistics, kv_error *error) {
    begin(store);
    statistics->keys = is(store, "many keys") ? UINT64_MAX : store->count;
    statistics->figure_count = is(store, "many figures") ? UINT32_MAX : 1;
    strcpy(statistics->figures[0].name, is(store, "bad figure") ? "Late Calls" : "late_calls");
    if (is(store, "endless figure")) memset(statistics->figures[0].name, 'f', sizeof statistics->figures[0].name);
    statistics->figures[0].value = atomic_load(&late_calls);
    end(store);
    return is(store, "statistics") ? answer(store, error) : KV_OK;
}

static int32_t close_store(kv_store *store, kv_error *error) {
    if (atomic_load(&store->calls) != 0) atomic_fetch_add(&late_calls, 1);
    if (atomic_exchange(&store->is_closed, 1)) atomic_fetch_add(&late_calls, 1);
    return is(store, "close") ? answer(store, error) : KV_OK;
}

static const kv_backend_table table = {
    KV_BACKEND_ABI, sizeof(kv_backend_table), "faulty", "for tests", KV_DURABLE | KV_ORDERED_SCAN, 2 << 20,
    open_store, read_value, scan, apply, statistics, close_store, close_store,
};

const kv_backend_table *kv_backend_plugin(uint32_t host_abi) { return host_abi == KV_BACKEND_ABI ? &table : NULL; }
