/*
 * A storage engine as a shared library, for C99, C++11 and whatever can call C. This file is all that an author needs;
 * docs/plugins.md says how to build, configure and test an engine.
 *
 * The library exports one function, kv_backend_plugin, which returns a table of functions. The host is the process of
 * a node or of the controller; it loads the library once and never unloads it.
 *
 * WHAT IS STORED. Maps from keys to values, one map for each pair of space and partition. Keys, of 1 to 480 bytes, and
 * values are any bytes. The order of keys is that of memcmp, a key before those that it is a prefix of. The engine
 * stores values as they are and never looks into them: they carry a checksum, which the host verifies at each read.
 *
 * OWNERSHIP. Every pointer that one side hands to the other is valid until the call that handed it over returns; who
 * wants to keep the bytes copies them. No memory that one side has allocated is freed by the other. Only the table,
 * with its texts, and the store lives on: the table as long as the process, the store until close or destroy.
 *
 * THREADS. open is called by one thread. read, scan and statistics are called by any number of threads at once, also
 * while apply runs, and don't wait for the disk while apply does. apply, close and destroy are never called concurrently with each other, and close and destroy not
 * with anything of the same store; after them there is no further call. One process may have several stores open, in
 * different folders. A callback (sink, visit) is called by the thread that made the call, before the call returns; it
 * calls nothing of the engine.
 *
 * ORDER. A read that starts after apply has returned sees all of the batch. One that runs at the same time sees each
 * key as it was before or after the batch.
 *
 * DURABILITY. When apply returns KV_OK the batch survives a power cut. After a crash the store holds all batches for
 * which apply returned KV_OK, and of the one that was in progress a prefix; with KV_ATOMIC_BATCHES all or nothing.
 * What an open store gives out survives a power cut, too: see open.
 *
 * ERRORS. A function returns KV_OK or another KV_ code, and then says in the kv_error what happened and what to do.
 * Nothing is thrown or longjmped out of the engine; it does not end the process, change its signals, its working
 * directory, its umask or its standard streams.
 *
 * Everything here may be used in any way that is convenient: copy this file into your own project.
 */
#ifndef KV_BACKEND_H
#define KV_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. It changes when an engine or a host of another version can't work with this one; what
 * is only added goes to the end of the table and is told by table_size. */
#define KV_BACKEND_ABI 1

/* Return codes. */
enum {
    KV_OK = 0,
    /* No space or no inodes left. */
    KV_FULL = 1,
    /* The disk or the folder can't be written. */
    KV_READ_ONLY = 2,
    /* A write or sync failed such that what is on the disk is unknown: nothing but close may follow. */
    KV_POISONED = 3,
    /* Stored bytes fail the engine's own verification. */
    KV_DAMAGED = 4,
    /* The folder is open already, here or in another process. */
    KV_IN_USE = 5,
    /* The folder holds something else, or a newer format. */
    KV_FOREIGN = 6,
    /* An option or an argument is outside the limits. */
    KV_INVALID = 7,
    /* The system lacks something that the engine needs. */
    KV_UNSUPPORTED = 8,
    /* Anything else. */
    KV_IO = 9
};

/* Spaces. */
enum {
    /* What clients store. */
    KV_RECORDS = 0,
    /* Some small values of the host: at most a few for each partition, each of at most 1 MiB and 4 bytes. */
    KV_METADATA = 1
};

/* In the space KV_METADATA: a partition beside those that are numbered, for the host's own values. */
#define KV_NODE 0xFFFFFFFFu

/* Operations of a batch. */
enum {
    /* Stores value under key, replacing what is there. */
    KV_PUT = 0,
    /* Removes key; it is no error when there is none. */
    KV_DELETE = 1,
    /* Removes every key of the partition from both spaces; space, key and value are unused. */
    KV_WIPE = 2
};

/* Capabilities. */
enum {
    /* A crash leaves all of a batch or nothing. */
    KV_ATOMIC_BATCHES = 1 << 0,
    /* What apply was given survives the process. Without it nodes refuse the engine unless told otherwise. */
    KV_DURABLE = 1 << 1,
    /* 1 << 2 is reserved. */
    /* scan costs what it visits, not what the partition holds. */
    KV_ORDERED_SCAN = 1 << 3
};

/* Some bytes; bytes may be NULL when count is 0. */
typedef struct kv_span {
    const void *bytes;
    size_t count;
} kv_span;

/* Zeroed by the host before each call. Texts end with a NUL unless they fill the field; none holds a value. */
typedef struct kv_error {
    /* What happened and what to do about it, in a sentence. */
    char message[512];
    /* The system's or the engine's own word, such as ENOSPC; may stay empty. */
    char cause[64];
} kv_error;

/* One of the options under which an operator configured the engine. */
typedef struct kv_option {
    const char *name;
    /* A text as it was written; a number in decimal; true or false. */
    const char *value;
} kv_option;

/* How to open a store. */
typedef struct kv_open {
    /* The data folder, which exists and belongs to this process; no slash at the end. Names in it that start with .kv, and
     * the file .backend-type, are the host's: they are left alone. Files of the engine are for their owner only. */
    const char *path;
    /* Partitions are numbered from 0 to partitions - 1; the same number at every open of a folder. */
    uint32_t partitions;
    uint32_t option_count;
    const kv_option *options;
} kv_open;

/* One operation of a batch. */
typedef struct kv_operation {
    /* KV_PUT, KV_DELETE or KV_WIPE. */
    uint32_t kind;
    /* KV_RECORDS or KV_METADATA. */
    uint32_t space;
    uint32_t partition;
    uint32_t reserved;
    kv_span key;
    kv_span value;
} kv_operation;

/* Which keys of the space KV_RECORDS to visit. */
typedef struct kv_scan {
    uint32_t partition;
    uint32_t reserved;
    /* Only keys that are greater; all of them when empty. At most 480 bytes. */
    kv_span after;
    /* Only keys that start with these bytes, which may be more than a key can have. */
    kv_span prefix;
    /* The first so many bytes of each value are enough; 0: the whole value. More never hurts. */
    size_t max_bytes;
} kv_scan;

/* A figure of the engine's own for metrics. */
typedef struct kv_figure {
    /* 1 to 47 bytes of a-z0-9_ and a NUL. */
    char name[48];
    uint64_t value;
} kv_figure;

#define KV_MAXIMUM_FIGURES 16

/* Zeroed by the host before the call. */
typedef struct kv_statistics {
    /* Keys in the space KV_RECORDS; may be an estimate. */
    uint64_t keys;
    uint64_t bytes_on_disk;
    uint32_t figure_count;
    uint32_t reserved;
    kv_figure figures[KV_MAXIMUM_FIGURES];
} kv_statistics;

/* Takes what was found. The host copies it. */
typedef void (*kv_sink)(void *context, kv_span value);

/* Takes one entry. Unless it returns 0, scan stops and returns KV_OK. */
typedef int32_t (*kv_visit)(void *context, kv_span key, kv_span value);

/* An open store; the engine alone knows what is behind it. */
typedef struct kv_store kv_store;

typedef struct kv_backend_table {
    /* KV_BACKEND_ABI. */
    uint32_t abi;
    /* sizeof(kv_backend_table). */
    uint32_t table_size;
    /* What the engine is called, 1 to 32 bytes of a-z0-9_. The data folder is marked with it, so that no other engine
     * opens it: it never changes. */
    const char *type;
    /* One line for people. */
    const char *summary;
    /* KV_ATOMIC_BATCHES and its like, added up. */
    uint64_t capabilities;
    /* The longest value in the space KV_RECORDS, in bytes; at least 1 MiB and 64 bytes. No longer one is ever stored. */
    uint64_t maximum_value_length;

    /* Opens the store, or creates it when there is none, which is durable when this returns. Options that the engine
     * does not have are KV_INVALID. On KV_OK *store is the new store; on anything else nothing stays open.
     * A process that was killed before a sync leaves what the next one sees and no disk has. The host forgets its own copy of
     * what it is given from then on: so what was found is synced, or written again, before this returns, names of files as
     * well, and before anything is removed that it replaces. */
    int32_t (*open)(const kv_open *request, kv_store **store, kv_error *error);

    /* Calls sink once with the value of key, and not at all when there is none, which is KV_OK too. The first max_bytes
     * bytes are enough, 0 meaning all of them; more never hurts. */
    int32_t (*read)(
        kv_store *store, uint32_t space, uint32_t partition, kv_span key, size_t max_bytes, kv_sink sink,
        void *sink_context, kv_error *error);

    /* Calls visit for the keys that are asked for, in ascending order, each once, until it returns something else than 0.
     * A key whose value can't be read is visited with an empty value, and the scan goes on. */
    int32_t (*scan)(
        kv_store *store, const kv_scan *request, kv_visit visit, void *visit_context, kv_error *error);

    /* Applies the operations in order, as if one after the other: 1 to about 100,000, mostly sorted by partition and key.
     * They are durable when this returns KV_OK. After KV_FULL, KV_READ_ONLY, KV_INVALID and KV_UNSUPPORTED nothing or a
     * prefix of the batch was applied, and the store goes on working, writing too once the reason is gone. After every
     * other code the host takes the store for poisoned. */
    int32_t (*apply)(kv_store *store, const kv_operation *operations, size_t count, kv_error *error);

    /* Called about once a second: no scans. */
    int32_t (*statistics)(kv_store *store, kv_statistics *statistics, kv_error *error);

    /* Releases everything that belongs to the store, whatever it returns. The data stays. */
    int32_t (*close)(kv_store *store, kv_error *error);

    /* Closes, and removes everything that the engine made in the folder and nothing else. */
    int32_t (*destroy)(kv_store *store, kv_error *error);
} kv_backend_table;

#if defined(__GNUC__)
#define KV_EXPORT __attribute__((visibility("default")))
#else
#define KV_EXPORT
#endif

/* The one function that the library exports. host_abi is the host's KV_BACKEND_ABI; an engine that can't work with it
 * returns NULL. The table is constant. Called before anything else, possibly more than once and by several threads. */
KV_EXPORT const kv_backend_table *kv_backend_plugin(uint32_t host_abi);

#ifdef __cplusplus
}
#endif

#endif
