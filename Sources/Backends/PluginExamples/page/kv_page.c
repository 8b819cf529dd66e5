/*
 * The smallest engine that keeps the promises of kv_backend.h: all batches in one file, one behind the other, and in
 * memory a sorted array that says where in it the value of each key lies. An example: it never gives space back, and a new
 * key costs time in proportion to the number of keys, so that some 100,000 are its limit.
 *
 *     page.log   start: magic, salt; then one frame a batch; numbers are u64 in the byte order of the machine
 *     frame      check of all up to the values, check of the values, length of the list, length of the values;
 *                list: one item an operation, each followed by its key; values, in the same order; mark
 *
 * A frame is written with an empty mark and synced; then the mark is written, which reaches the disk with the next sync
 * at the latest. A mark proves that all before it was on the disk once. So a frame that fails verification was torn by a
 * crash, and is cut off, if no mark follows, and is damaged otherwise. Damage within values is left to the host.
 */
#include "kv_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREFIX = 5, LONGEST_KEY = PREFIX + 480 };
typedef struct { uint64_t magic, salt; } start;
typedef struct { uint64_t check, value_check, list_length, values_length; } header;
typedef struct { uint64_t value_length; uint32_t kind, space, partition, key_length; } item;
/* What each key is in memory: space and partition in front of it, so that all are in one order. */
typedef struct { size_t size; uint8_t bytes[LONGEST_KEY]; } full_key;
typedef struct { uint64_t place, length; size_t size; uint8_t key[]; } entry;

struct kv_store {
    int folder, file;
    uint64_t salt, end;
    uint32_t crc[256];
    pthread_mutex_t mutex; /* Of what follows. Nobody waits for the disk while holding it. */
    entry **entries;
    size_t count, room, records;
};

static const uint64_t MAGIC = UINT64_C(0x0A31454741505F4B);

static int32_t fail(kv_error *error, int32_t code, const char *message) {
    snprintf(error->message, sizeof error->message, "%s", message);
    if (errno != 0) snprintf(error->cause, sizeof error->cause, "%s", strerror(errno));
    return code;
}

static int32_t fail_of_system(kv_error *error, const char *message) {
    if (errno == ENOSPC || errno == EDQUOT) return fail(error, KV_FULL, "the disk is full; free some space");
    int is_locked = errno == EROFS || errno == EACCES || errno == EPERM;
    return fail(error, is_locked ? KV_READ_ONLY : KV_IO, message);
}

static uint64_t checksum(const kv_store *store, const void *bytes, size_t count) {
    uint32_t crc = ~0u;
    for (const uint8_t *byte = bytes; count > 0; byte++, count--) crc = store->crc[(crc ^ *byte) & 0xFF] ^ crc >> 8;
    return ~crc;
}

static int write_all(int file, const void *bytes, size_t count, uint64_t place) {
    for (size_t done = 0; done < count;) {
        ssize_t result = pwrite(file, (const uint8_t *)bytes + done, count - done, (off_t)(place + done));
        if (result < 0 && errno != EINTR) return -1;
        if (result > 0) done += (size_t)result;
    }
    return 0;
}

/* The index. */

static void set_key(full_key *key, uint32_t space, uint32_t partition, kv_span tail) {
    for (int at = 0; at < 4; at++) key->bytes[1 + at] = (uint8_t)(partition >> (24 - 8 * at));
    key->bytes[0] = (uint8_t)space;
    if (tail.count > 0) memcpy(key->bytes + PREFIX, tail.bytes, tail.count);
    key->size = PREFIX + tail.count;
}

static int compare(const uint8_t *left, size_t left_size, const uint8_t *right, size_t right_size) {
    int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
    return order != 0 ? order : left_size < right_size ? -1 : left_size > right_size;
}

/* Where the first entry is whose key is not less. */
static size_t find(const kv_store *store, const full_key *key) {
    size_t low = 0, high = store->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const entry *each = store->entries[middle];
        if (compare(each->key, each->size, key->bytes, key->size) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The entry at a place if its key starts with the first bytes of `key`, or is `key`. */
static entry *entry_at(const kv_store *store, size_t at, const full_key *key, int is_whole) {
    entry *each = at < store->count ? store->entries[at] : NULL;
    if (each == NULL || each->size < key->size || (is_whole && each->size != key->size)) return NULL;
    return memcmp(each->key, key->bytes, key->size) == 0 ? each : NULL;
}

static void remove_entries(kv_store *store, size_t at, const full_key *key, int is_whole) {
    size_t end = at;
    for (entry *each; (each = entry_at(store, end, key, is_whole)) != NULL; end++) {
        store->records -= each->key[0] == KV_RECORDS;
        free(each);
    }
    memmove(store->entries + at, store->entries + end, (store->count - end) * sizeof(entry *));
    store->count -= end - at;
}

static int insert_entry(kv_store *store, size_t at, const full_key *key) {
    if (store->count == store->room) {
        entry **more = realloc(store->entries, (2 * store->room + 64) * sizeof(entry *));
        if (more == NULL) return -1;
        store->entries = more;
        store->room = 2 * store->room + 64;
    }
    entry *new = malloc(sizeof *new + key->size);
    if (new == NULL) return -1;
    new->size = key->size;
    memcpy(new->key, key->bytes, key->size);
    memmove(store->entries + at + 1, store->entries + at, (store->count - at) * sizeof(entry *));
    store->entries[at] = new;
    store->count += 1;
    store->records += key->bytes[0] == KV_RECORDS;
    return 0;
}

/* Does to the index what the list of a frame says, whose values start at `place`; -1 when there is not enough memory. */
static int follow(kv_store *store, const uint8_t *list, uint64_t length, uint64_t place) {
    item item;
    for (const uint8_t *end = list + length; list < end; list += item.key_length, place += item.value_length) {
        full_key key;
        memcpy(&item, list, sizeof item);
        list += sizeof item;
        if (item.kind == KV_WIPE) {
            for (uint32_t space = KV_RECORDS; space <= KV_METADATA; space++) {
                set_key(&key, space, item.partition, (kv_span){NULL, 0});
                remove_entries(store, find(store, &key), &key, 0);
            }
            continue;
        }
        set_key(&key, item.space, item.partition, (kv_span){list, item.key_length});
        size_t at = find(store, &key);
        if (item.kind == KV_DELETE) {
            if (entry_at(store, at, &key, 1) != NULL) remove_entries(store, at, &key, 1);
            continue;
        }
        if (entry_at(store, at, &key, 1) == NULL && insert_entry(store, at, &key) != 0) return -1;
        store->entries[at]->place = place;
        store->entries[at]->length = item.value_length;
    }
    return 0;
}

/* Writing. */

/* A whole frame in memory of its own, with an empty mark. */
static uint8_t *make_frame(
    const kv_store *store, const kv_operation *operations, size_t count, header *header, size_t *size
) {
    memset(header, 0, sizeof *header);
    for (size_t i = 0; i < count; i++) {
        header->list_length += sizeof(item) + operations[i].key.count;
        header->values_length += operations[i].value.count;
    }
    *size = sizeof *header + header->list_length + header->values_length + sizeof(uint64_t);
    uint8_t *frame = calloc(1, *size);
    if (frame == NULL) return NULL;
    uint8_t *list = frame + sizeof *header, *value = list + header->list_length;
    for (const kv_operation *each = operations; each < operations + count; each++) {
        item item = {each->value.count, each->kind, each->space, each->partition, (uint32_t)each->key.count};
        memcpy(list, &item, sizeof item);
        if (each->key.count > 0) memcpy(list + sizeof item, each->key.bytes, each->key.count);
        if (each->value.count > 0) memcpy(value, each->value.bytes, each->value.count);
        list += sizeof item + each->key.count;
        value += each->value.count;
    }
    header->value_check = checksum(store, list, header->values_length);
    memcpy(frame, header, sizeof *header);
    size_t checked = sizeof *header - sizeof header->check + header->list_length;
    header->check = checksum(store, frame + sizeof header->check, checked);
    memcpy(frame, header, sizeof *header);
    return frame;
}

static int32_t apply(kv_store *store, const kv_operation *operations, size_t count, kv_error *error) {
    header header;
    size_t size;
    int32_t code = KV_OK;
    uint8_t *frame = make_frame(store, operations, count, &header, &size);
    if (frame == NULL) return fail(error, KV_UNSUPPORTED, "there is not enough memory for the batch");
    uint64_t place = store->end + size - sizeof(uint64_t), mark = store->salt ^ place;
    if (write_all(store->file, frame, size, store->end) != 0) {
        code = fail_of_system(error, "the log can't be written");
        /* What was there before is whole, unless the disk fails. */
        if (code == KV_IO || ftruncate(store->file, (off_t)store->end) != 0) code = KV_POISONED;
    } else if (fdatasync(store->file) != 0 || write_all(store->file, &mark, sizeof mark, place) != 0) {
        code = fail(error, KV_POISONED, "the log can't be synced; restart the process");
    } else {
        pthread_mutex_lock(&store->mutex);
        if (follow(store, frame + sizeof header, header.list_length, place - header.values_length) != 0) {
            code = fail(error, KV_POISONED, "there is not enough memory for more keys");
        }
        store->end += size;
        pthread_mutex_unlock(&store->mutex);
    }
    free(frame);
    return code;
}

/* Reading. A place in the log keeps what it has, so that values are read without the mutex. */

static void *load(const kv_store *store, uint64_t place, size_t length) {
    errno = 0;
    uint8_t *bytes = malloc(length > 0 ? length : 1);
    for (size_t done = 0; bytes != NULL && done < length;) {
        ssize_t result = pread(store->file, bytes + done, length - done, (off_t)(place + done));
        if (result > 0) done += (size_t)result;
        if (result > 0 || (result < 0 && errno == EINTR)) continue;
        free(bytes);
        return NULL;
    }
    return bytes;
}

static size_t shorter(uint64_t length, size_t most) { return most != 0 && most < length ? most : (size_t)length; }

static int32_t read_value(
    kv_store *store, uint32_t space, uint32_t partition, kv_span tail, size_t max_bytes, kv_sink sink, void *context,
    kv_error *error
) {
    full_key key;
    set_key(&key, space, partition, tail);
    pthread_mutex_lock(&store->mutex);
    const entry *found = entry_at(store, find(store, &key), &key, 1);
    entry copy = found != NULL ? *found : (entry){.size = 0};
    pthread_mutex_unlock(&store->mutex);
    if (copy.size == 0) return KV_OK;
    size_t length = shorter(copy.length, max_bytes);
    void *value = load(store, copy.place, length);
    if (value == NULL) return fail(error, KV_DAMAGED, "a value can't be read from the log");
    sink(context, (kv_span){value, length});
    free(value);
    return KV_OK;
}

static int32_t scan(kv_store *store, const kv_scan *request, kv_visit visit, void *context, kv_error *error) {
    (void)error;
    full_key last, prefix;
    if (request->prefix.count > LONGEST_KEY - PREFIX) return KV_OK;
    set_key(&last, KV_RECORDS, request->partition, request->after);
    set_key(&prefix, KV_RECORDS, request->partition, request->prefix);
    int is_start = compare(last.bytes, last.size, prefix.bytes, prefix.size) < 0;
    for (;; is_start = 0) {
        pthread_mutex_lock(&store->mutex);
        size_t at = find(store, is_start ? &prefix : &last);
        if (!is_start && entry_at(store, at, &last, 1) != NULL) at += 1;
        const entry *found = entry_at(store, at, &prefix, 0);
        entry copy = found != NULL ? *found : (entry){.size = 0};
        if (found != NULL) memcpy(last.bytes, found->key, last.size = found->size);
        pthread_mutex_unlock(&store->mutex);
        if (copy.size == 0) return KV_OK;
        size_t length = shorter(copy.length, request->max_bytes);
        void *value = load(store, copy.place, length);
        kv_span tail = {last.bytes + PREFIX, last.size - PREFIX};
        int32_t is_enough = visit(context, tail, (kv_span){value, value != NULL ? length : 0});
        free(value);
        if (is_enough) return KV_OK;
    }
}

static int32_t statistics(kv_store *store, kv_statistics *statistics, kv_error *error) {
    struct stat status;
    if (fstat(store->file, &status) != 0) return fail_of_system(error, "the log can't be looked at");
    statistics->bytes_on_disk = (uint64_t)status.st_blocks * 512;
    pthread_mutex_lock(&store->mutex);
    statistics->keys = store->records;
    statistics->figures[0] = (kv_figure){"log_bytes", store->end};
    statistics->figure_count = 1;
    pthread_mutex_unlock(&store->mutex);
    return KV_OK;
}

/* Closing and opening. */

static int32_t close_store(kv_store *store, kv_error *error) {
    (void)error;
    for (size_t at = 0; at < store->count; at++) free(store->entries[at]);
    free(store->entries);
    if (store->file >= 0) close(store->file);
    if (store->folder >= 0) {
        /* A process that another thread is just starting has a copy of the descriptor, by which the lock would stay. */
        flock(store->folder, LOCK_UN);
        close(store->folder);
    }
    pthread_mutex_destroy(&store->mutex);
    free(store);
    return KV_OK;
}

static int32_t destroy(kv_store *store, kv_error *error) {
    int is_gone = unlinkat(store->folder, "page.log", 0) == 0 && fsync(store->folder) == 0;
    int32_t code = is_gone ? KV_OK : fail_of_system(error, "the log can't be removed");
    close_store(store, error);
    return code;
}

/* Whether there is a mark somewhere behind `place`. */
static int has_mark(const kv_store *store, const uint8_t *log, uint64_t place, uint64_t size) {
    for (uint64_t mark; place + sizeof mark <= size; place++) {
        memcpy(&mark, log + place, sizeof mark);
        if (mark == (store->salt ^ place)) return 1;
    }
    return 0;
}

/* Reads the frames of a log of `size` bytes; store->end is then behind the last one that is whole. */
static int32_t recover(kv_store *store, const uint8_t *log, uint64_t size, kv_error *error) {
    for (uint64_t mark; store->end < size;) {
        const uint8_t *frame = log + store->end;
        header header = {0, 0, 0, 0};
        uint64_t room = size - store->end, least = sizeof header + sizeof mark;
        if (room >= least) memcpy(&header, frame, sizeof header);
        int is_list = room >= least && header.list_length <= room - least &&
                      header.values_length <= room - least - header.list_length &&
                      checksum(store, frame + sizeof header.check,
                               sizeof header - sizeof header.check + header.list_length) == header.check;
        uint64_t values = store->end + sizeof header + header.list_length;
        int is_whole = is_list && checksum(store, log + values, header.values_length) == header.value_check;
        if (!is_whole && !has_mark(store, log, store->end, size)) {
            return ftruncate(store->file, (off_t)store->end) == 0 ? KV_OK : fail_of_system(error, "a torn batch stays");
        }
        if (!is_list) {
            return fail(error, KV_DAMAGED, "page.log is damaged; empty the folder to get the data from other replicas");
        }
        if (follow(store, frame + sizeof header, header.list_length, values) != 0) {
            return fail(error, KV_UNSUPPORTED, "there is not enough memory for the keys");
        }
        uint64_t place = values + header.values_length, start = store->end;
        memcpy(&mark, log + place, sizeof mark);
        store->end = place + sizeof mark;
        if (mark == (store->salt ^ place)) continue;
        /* The last frame. It may be in the memory of the system only; a sync that failed even leaves it there as if it were
         * on the disk, unless it is written again. */
        mark = store->salt ^ place;
        if (write_all(store->file, frame, place - start, start) != 0 || fdatasync(store->file) != 0 ||
            write_all(store->file, &mark, sizeof mark, place) != 0) {
            return fail_of_system(error, "the log can't be written");
        }
    }
    return KV_OK;
}

static int32_t open_log(kv_store *store, kv_error *error) {
    start start = {MAGIC, 0};
    struct stat status;
    if (flock(store->folder, LOCK_EX | LOCK_NB) != 0) return fail(error, KV_IN_USE, "another store has the folder open");
    store->file = openat(store->folder, "page.log", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->file < 0 || fstat(store->file, &status) != 0) return fail_of_system(error, "page.log can't be opened");
    uint64_t found[2] = {0, 0};
    if (status.st_size >= (off_t)sizeof start && pread(store->file, found, sizeof found, 0) != sizeof found) {
        return fail_of_system(error, "page.log can't be read");
    }
    /* A power cut may have left the length of the start without its bytes. */
    int is_empty = found[0] == 0 && found[1] == 0 && status.st_size <= (off_t)sizeof start;
    if (is_empty) { /* Nothing was applied before the start was on the disk. */
        if (getentropy(&start.salt, sizeof start.salt) != 0 || write_all(store->file, &start, sizeof start, 0) != 0 ||
            fsync(store->file) != 0) {
            return fail_of_system(error, "page.log can't be created");
        }
        status.st_size = sizeof start;
    }
    /* Also of a log that is there: its process may have been killed before it came to this. */
    if (fsync(store->folder) != 0) return fail_of_system(error, "the folder can't be synced");
    size_t size = (size_t)status.st_size;
    void *log = mmap(NULL, size, PROT_READ, MAP_SHARED, store->file, 0);
    if (log == MAP_FAILED) return fail_of_system(error, "page.log can't be read");
    memcpy(&start, log, sizeof start);
    store->salt = start.salt;
    store->end = sizeof start;
    int32_t code = start.magic == MAGIC ? recover(store, log, size, error)
                                        : fail(error, KV_FOREIGN, "page.log was not written by this engine");
    munmap(log, size);
    if (code == KV_OK && fdatasync(store->file) != 0) return fail_of_system(error, "page.log can't be synced");
    return code;
}

static int32_t open_store(const kv_open *request, kv_store **result, kv_error *error) {
    errno = 0;
    if (request->option_count > 0) return fail(error, KV_INVALID, "the engine page has no options; remove them");
    kv_store *store = calloc(1, sizeof *store);
    if (store == NULL) return fail(error, KV_UNSUPPORTED, "there is not enough memory");
    pthread_mutex_init(&store->mutex, NULL);
    for (uint32_t byte = 0; byte < 256; byte++) {
        store->crc[byte] = byte;
        for (int bit = 0; bit < 8; bit++) store->crc[byte] = store->crc[byte] >> 1 ^ (store->crc[byte] & 1) * 0x82F63B78u;
    }
    store->file = -1;
    store->folder = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t code = store->folder < 0 ? fail_of_system(error, "the folder can't be opened") : open_log(store, error);
    if (code == KV_OK) *result = store;
    else close_store(store, error);
    return code;
}

static const kv_backend_table table = {
    .abi = KV_BACKEND_ABI,
    .table_size = sizeof(kv_backend_table),
    .type = "page",
    .summary = "one log file and an index in memory: an example",
    .capabilities = KV_ATOMIC_BATCHES | KV_DURABLE | KV_ORDERED_SCAN,
    .maximum_value_length = 1u << 30,
    .open = open_store,
    .read = read_value,
    .scan = scan,
    .apply = apply,
    .statistics = statistics,
    .close = close_store,
    .destroy = destroy,
};

const kv_backend_table *kv_backend_plugin(uint32_t host_abi) { return host_abi == KV_BACKEND_ABI ? &table : NULL; }
