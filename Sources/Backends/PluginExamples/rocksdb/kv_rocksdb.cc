/*
 * RocksDB 7.8 or newer as an engine: a log-structured merge tree, for data that is much larger than memory.
 *
 * One database in the folder `rocksdb` within the data folder, readable with `ldb --db=DATA/rocksdb scan --hex`. Its keys:
 *
 *     space u8, partition u32 big-endian, key    what the host stores; the order is the host's
 *
 * and in the column family `counts`, away from damage among the others:
 *
 *     0, partition u32 big-endian                how many records the partition has, u64 little-endian
 *
 * A batch is one WriteBatch, synced: all or nothing. RocksDB keeps a checksum for each block, and one that fails makes every
 * record of that block KV_DAMAGED.
 *
 * In RocksDB's log of what was written last, a power cut can leave the end of a batch without its beginning, which looks
 * like damage. To tell them apart the file `rocksdb/acknowledged` has the sequence number of the last batch that was
 * acknowledged, u64 in the byte order of the machine, not synced: the log is read up to the first place that makes no sense,
 * and open fails with KV_DAMAGED when that was before the number.
 *
 * Options: cache_bytes, for blocks in memory, 32 MiB unless given; write_buffer_bytes, before new data is sorted into a
 * file, 64 MiB unless given; compression, none (unless given), lz4 or zstd.
 */
#include "kv_backend.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <set>
#include <string>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>

using rocksdb::Slice;
using rocksdb::Status;

struct kv_store {
    std::string folder;
    rocksdb::Options options;
    std::unique_ptr<rocksdb::DB> db;
    /* The default one and `counts`. */
    std::vector<rocksdb::ColumnFamilyHandle *> families;
    /* How many there are in each partition; seen by apply alone. */
    std::vector<uint64_t> records;
    std::atomic<uint64_t> total{0};
    /* After a full disk RocksDB refuses to write until it is told to go on. */
    bool is_stopped = false;
    /* rocksdb/acknowledged */
    int acknowledged = -1;

    Status close() {
        for (auto *family : families) db->DestroyColumnFamilyHandle(family);
        families.clear();
        return db ? db->Close() : Status::OK();
    }

    ~kv_store() {
        close().PermitUncheckedError();
        if (acknowledged >= 0) ::close(acknowledged);
    }
};

namespace {

constexpr size_t PREFIX = 5;

int32_t fail(kv_error *error, int32_t code, const std::string &message, const std::string &cause = "") {
    std::snprintf(error->message, sizeof error->message, "%s", message.c_str());
    std::snprintf(error->cause, sizeof error->cause, "%s", cause.c_str());
    return code;
}

int32_t fail_of_system(kv_error *error, const std::string &message) {
    const int number = errno;
    const std::string cause = std::strerror(number);
    if (number == ENOSPC || number == EDQUOT) return fail(error, KV_FULL, "the disk is full; free some space", cause);
    const bool is_locked = number == EROFS || number == EACCES || number == EPERM;
    return fail(error, is_locked ? KV_READ_ONLY : KV_IO, message, cause);
}

bool is_full(const Status &status) { return status.IsNoSpace() || status.subcode() == Status::SubCode::kSpaceLimit; }

int32_t fail_of(kv_error *error, const Status &status, const std::string &doing) {
    const std::string text = status.ToString();
    if (is_full(status)) return fail(error, KV_FULL, doing + ": the disk is full; free some space", text);
    if (status.IsCorruption()) {
        return fail(
            error, KV_DAMAGED, doing + ": stored bytes are damaged; empty the folder to get the data from other replicas",
            text);
    }
    return fail(error, KV_IO, doing + ": " + text);
}

/* Runs body; what it throws, which can only be a lack of memory, does not leave the library. */
template <typename Body> int32_t guarded(kv_error *error, int32_t code, Body body) {
    try {
        return body();
    } catch (const std::exception &exception) {
        return fail(error, code, "an exception in RocksDB or its plugin", exception.what());
    }
}

Slice slice(kv_span span) { return Slice(static_cast<const char *>(span.bytes), span.count); }

kv_span span(const Slice &slice) { return kv_span{slice.data(), slice.size()}; }

std::string full_key(char space, uint32_t partition, const Slice &key = Slice()) {
    std::string result(1, space);
    for (int shift = 24; shift >= 0; shift -= 8) result.push_back(static_cast<char>(partition >> shift & 0xFF));
    return result.append(key.data(), key.size());
}

/* The first key behind all of the partition. */
std::string end_of(char space, uint32_t partition) {
    return partition == KV_NODE ? std::string(1, static_cast<char>(space + 1)) : full_key(space, partition + 1);
}

/* Opening. */

/* RocksDB would look every few seconds whether a full disk has room for a whole write buffer again; apply asks instead,
 * when there is something to write. */
class NoRecovery : public rocksdb::EventListener {
  public:
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool *is_automatic) override {
        *is_automatic = false;
    }
};

/* Status says what is wrong. RocksDB's own writes on to a file that it couldn't write to, which ends the process where the
 * library was built with assertions, as Debian's is. */
class NoLog : public rocksdb::Logger {
  public:
    using rocksdb::Logger::Logv;
    void Logv(const char *, va_list) override {}
};

bool parse(const char *text, uint64_t *number) {
    char *end = nullptr;
    errno = 0;
    const unsigned long long value = std::strtoull(text, &end, 10);
    *number = value;
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && value <= uint64_t{1} << 46;
}

int32_t configure(const kv_open *request, rocksdb::Options *options, kv_error *error) {
    uint64_t cache_bytes = 32 << 20, write_buffer_bytes = 64 << 20;
    options->compression = rocksdb::kNoCompression;
    for (uint32_t i = 0; i < request->option_count; i++) {
        const std::string name = request->options[i].name, value = request->options[i].value;
        bool is_legal = true;
        if (name == "cache_bytes") is_legal = parse(value.c_str(), &cache_bytes) && cache_bytes >= 1 << 20;
        else if (name == "write_buffer_bytes") {
            is_legal = parse(value.c_str(), &write_buffer_bytes) && write_buffer_bytes >= 1 << 20;
        } else if (name == "compression" && value == "none") options->compression = rocksdb::kNoCompression;
        else if (name == "compression" && value == "lz4") options->compression = rocksdb::kLZ4Compression;
        else if (name == "compression" && value == "zstd") options->compression = rocksdb::kZSTD;
        else if (name == "compression") is_legal = false;
        else {
            return fail(
                error, KV_INVALID, "there is no option " + name + "; there are cache_bytes, write_buffer_bytes, compression");
        }
        if (!is_legal) {
            return fail(
                error, KV_INVALID,
                "option " + name + ": sizes are whole numbers from 1048576 up, compression is none, lz4 or zstd");
        }
    }
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    options->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options->write_buffer_size = write_buffer_bytes;
    options->create_if_missing = true;
    options->create_missing_column_families = true;
    /* What this mode might forget is found out by check_acknowledged. */
    options->wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    options->listeners.push_back(std::make_shared<NoRecovery>());
    /* Room is taken when it is needed: otherwise a disk seems full early. */
    options->allow_fallocate = false;
    options->info_log = std::make_shared<NoLog>();
    /* close_store does it; a second attempt to flush the same buffer is no more than trouble. */
    options->avoid_flush_during_shutdown = true;
    options->max_open_files = 256;
    return KV_OK;
}

int32_t make_folder(const kv_open *request, const std::string &folder, kv_error *error) {
    if (access(request->path, W_OK) != 0) return fail_of_system(error, "the data folder can't be written");
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_of_system(error, "the folder rocksdb can't be made");
    }
    /* Also when it is there: the process that made it may have been killed before it came to this. */
    const int parent = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_durable = parent >= 0 && fsync(parent) == 0;
    const int32_t code = is_durable ? KV_OK : fail_of_system(error, "the data folder can't be synced");
    if (parent >= 0) close(parent);
    return code;
}

int32_t load_counts(kv_store *store, kv_error *error) {
    std::unique_ptr<rocksdb::Iterator> each(store->db->NewIterator(rocksdb::ReadOptions(), store->families[1]));
    for (each->SeekToFirst(); each->Valid(); each->Next()) {
        const Slice key = each->key(), value = each->value();
        uint32_t partition = 0;
        for (size_t i = 1; i < PREFIX && key.size() == PREFIX; i++) {
            partition = partition << 8 | static_cast<uint8_t>(key[i]);
        }
        if (key.size() != PREFIX || value.size() != sizeof(uint64_t) || partition >= store->records.size()) {
            return fail(error, KV_FOREIGN, "the database in the folder rocksdb was not made by this engine and version");
        }
        for (size_t i = sizeof(uint64_t); i > 0; i--) {
            store->records[partition] = store->records[partition] << 8 | static_cast<uint8_t>(value[i - 1]);
        }
        store->total += store->records[partition];
    }
    return each->status().ok() ? KV_OK : fail_of(error, each->status(), "the number of records can't be read");
}

int32_t check_acknowledged(kv_store *store, kv_error *error) {
    store->acknowledged = open((store->folder + "/acknowledged").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint64_t number = 0;
    const ssize_t size = store->acknowledged < 0 ? -1 : pread(store->acknowledged, &number, sizeof number, 0);
    if (size < 0) return fail_of_system(error, "the file rocksdb/acknowledged can't be read");
    /* A shorter one is from before the first batch, or from before a power cut. */
    if (size < static_cast<ssize_t>(sizeof number) || number <= store->db->GetLatestSequenceNumber()) return KV_OK;
    return fail(
        error, KV_DAMAGED,
        "the database has lost what was written last; empty the folder to get the data from other replicas");
}

/* A process that was killed leaves files that the next one sees and no disk has. RocksDB reads them, and removes what they
 * replace before it has written them again. */
int32_t sync_files(const std::string &folder, kv_error *error) {
    DIR *entries = opendir(folder.c_str());
    bool is_durable = entries != nullptr;
    while (is_durable) {
        /* Stays 0 at the folder's end. */
        errno = 0;
        const dirent *entry = readdir(entries);
        if (entry == nullptr) {
            is_durable = errno == 0;
            break;
        }
        const int file = openat(dirfd(entries), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        is_durable = file >= 0 && fsync(file) == 0;
        if (file >= 0) close(file);
    }
    const int32_t code = is_durable ? KV_OK : fail_of_system(error, "the files in the folder rocksdb can't be synced");
    if (entries != nullptr) closedir(entries);
    return code;
}

int32_t open_store(const kv_open *request, kv_store **result, kv_error *error) {
    return guarded(error, KV_IO, [&] {
        auto store = std::make_unique<kv_store>();
        store->folder = std::string(request->path) + "/rocksdb";
        store->records.resize(request->partitions);
        int32_t code = configure(request, &store->options, error);
        if (code == KV_OK) code = make_folder(request, store->folder, error);
        if (code == KV_OK) code = sync_files(store->folder, error);
        if (code != KV_OK) return code;
        rocksdb::DB *db = nullptr;
        const Status status = rocksdb::DB::Open(
            store->options, store->folder,
            {{rocksdb::kDefaultColumnFamilyName, store->options}, {"counts", store->options}}, &store->families, &db);
        if (!status.ok()) {
            /* There is no code for it. */
            const std::string text = status.ToString();
            const bool is_in_use = text.find("lock hold by current process") != std::string::npos ||
                                   text.find("While lock file") != std::string::npos;
            if (is_in_use) return fail(error, KV_IN_USE, "another store has the database open", text);
            return fail_of(error, status, "the database can't be opened");
        }
        store->db.reset(db);
        code = check_acknowledged(store.get(), error);
        if (code == KV_OK) code = load_counts(store.get(), error);
        if (code == KV_OK) *result = store.release();
        return code;
    });
}

/* Reading. */

int32_t read_value(
    kv_store *store, uint32_t space, uint32_t partition, kv_span key, size_t, kv_sink sink, void *context, kv_error *error
) {
    return guarded(error, KV_IO, [&] {
        rocksdb::PinnableSlice value;
        const std::string full = full_key(static_cast<char>(space), partition, slice(key));
        const Status status =
            store->db->Get(rocksdb::ReadOptions(), store->db->DefaultColumnFamily(), full, &value);
        if (status.IsNotFound()) return static_cast<int32_t>(KV_OK);
        if (!status.ok()) return fail_of(error, status, "a value can't be read");
        sink(context, span(value));
        return static_cast<int32_t>(KV_OK);
    });
}

int32_t scan(kv_store *store, const kv_scan *request, kv_visit visit, void *context, kv_error *error) {
    return guarded(error, KV_IO, [&] {
        const std::string after = full_key(KV_RECORDS, request->partition, slice(request->after));
        const std::string prefix = full_key(KV_RECORDS, request->partition, slice(request->prefix));
        const std::string end = end_of(KV_RECORDS, request->partition);
        const Slice bound(end);
        rocksdb::ReadOptions options;
        options.iterate_upper_bound = &bound;
        std::unique_ptr<rocksdb::Iterator> each(store->db->NewIterator(options));
        each->Seek(std::max(after, prefix));
        if (each->Valid() && each->key() == Slice(after)) each->Next();
        for (; each->Valid() && each->key().starts_with(prefix); each->Next()) {
            const Slice key(each->key().data() + PREFIX, each->key().size() - PREFIX);
            if (visit(context, span(key), span(each->value())) != 0) return static_cast<int32_t>(KV_OK);
        }
        if (!each->status().ok()) return fail_of(error, each->status(), "a partition can't be read");
        return static_cast<int32_t>(KV_OK);
    });
}

/* Writing. */

/* Keeps the number of records exact: looks each key up, in what the batch did to it before and then in the database. */
class Counter {
  public:
    explicit Counter(kv_store *store) : store(store), records(store->records) {}

    void wipe(uint32_t partition) {
        wiped.insert(partition);
        const std::string begin = full_key(KV_RECORDS, partition);
        for (auto each = touched.begin(); each != touched.end();) {
            each = each->first.compare(0, PREFIX, begin) == 0 ? touched.erase(each) : std::next(each);
        }
        set(partition, 0);
    }

    Status change(uint32_t partition, const std::string &key, bool is_put) {
        bool was_there = false;
        const auto known = touched.find(key);
        if (known != touched.end()) {
            was_there = known->second;
        } else if (wiped.count(partition) == 0) {
            rocksdb::PinnableSlice value;
            const Status status =
                store->db->Get(rocksdb::ReadOptions(), store->db->DefaultColumnFamily(), key, &value);
            /* A damaged record is one too, and what replaces it heals it. */
            if (!status.ok() && !status.IsNotFound() && !status.IsCorruption()) return status;
            was_there = !status.IsNotFound();
        }
        touched[key] = is_put;
        if (is_put != was_there) set(partition, records[partition] + (is_put ? 1 : -1));
        return Status::OK();
    }

    Status write(rocksdb::WriteBatch *batch) const {
        for (uint32_t partition : changed) {
            std::string value;
            for (int shift = 0; shift < 64; shift += 8) {
                value.push_back(static_cast<char>(records[partition] >> shift & 0xFF));
            }
            const Status status = batch->Put(store->families[1], full_key(0, partition), value);
            if (!status.ok()) return status;
        }
        return Status::OK();
    }

    void commit() {
        for (uint32_t partition : changed) store->total += records[partition] - store->records[partition];
        store->records = std::move(records);
    }

  private:
    void set(uint32_t partition, uint64_t count) {
        records[partition] = count;
        changed.insert(partition);
    }

    kv_store *store;
    std::vector<uint64_t> records;
    std::unordered_map<std::string, bool> touched;
    std::set<uint32_t> wiped, changed;
};

Status add(const kv_operation &operation, rocksdb::WriteBatch *batch, Counter *counter) {
    if (operation.kind == KV_WIPE) {
        counter->wipe(operation.partition);
        for (char space : {KV_RECORDS, KV_METADATA}) {
            const Status status =
                batch->DeleteRange(full_key(space, operation.partition), end_of(space, operation.partition));
            if (!status.ok()) return status;
        }
        return Status::OK();
    }
    const std::string key = full_key(static_cast<char>(operation.space), operation.partition, slice(operation.key));
    if (operation.space == KV_RECORDS) {
        const Status status = counter->change(operation.partition, key, operation.kind == KV_PUT);
        if (!status.ok()) return status;
    }
    return operation.kind == KV_PUT ? batch->Put(key, slice(operation.value)) : batch->Delete(key);
}

/* After a full disk RocksDB replaces the log that it couldn't write to when it flushes its buffers; with nothing in them it
 * would keep that log, and could never write again. So they get a mark, which is in no log. */
Status fill_buffer(kv_store *store) {
    uint64_t entries = 0;
    store->db->GetIntProperty(store->families[1], rocksdb::DB::Properties::kNumEntriesActiveMemTable, &entries);
    if (entries > 0) return Status::OK();
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return store->db->Delete(options, store->families[1], Slice());
}

/* Whether a full disk has room for the buffers again. Each attempt to go on without is one to flush the same buffer twice,
 * which a library with assertions takes for a mistake when there are wipes in it. */
bool has_room(kv_store *store) {
    struct statvfs disk;
    uint64_t buffers = 0;
    store->db->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &buffers);
    return statvfs(store->folder.c_str(), &disk) != 0 || disk.f_bavail * disk.f_frsize > buffers;
}

int32_t apply(kv_store *store, const kv_operation *operations, size_t count, kv_error *error) {
    return guarded(error, KV_POISONED, [&] {
        if (store->is_stopped) {
            if (!has_room(store)) return fail(error, KV_FULL, "the disk is still full; free some space");
            const Status status = store->db->Resume();
            if (!status.ok()) {
                const int32_t code = fail_of(error, status, "the database can't go on after a full disk");
                return code == KV_FULL ? code : static_cast<int32_t>(KV_POISONED);
            }
            store->is_stopped = false;
        }
        rocksdb::WriteBatch batch;
        Counter counter(store);
        for (size_t i = 0; i < count; i++) {
            const Status status = add(operations[i], &batch, &counter);
            if (!status.ok()) {
                fail_of(error, status, "the keys of a batch can't be looked up");
                return static_cast<int32_t>(KV_POISONED);
            }
        }
        Status status = counter.write(&batch);
        rocksdb::WriteOptions options;
        options.sync = true;
        if (status.ok()) status = fill_buffer(store);
        if (status.ok()) status = store->db->Write(options, &batch);
        if (status.ok()) {
            counter.commit();
            const uint64_t number = store->db->GetLatestSequenceNumber();
            if (pwrite(store->acknowledged, &number, sizeof number, 0) != sizeof number) {
                /* The batch is on the disk. An older number only says less. */
            }
            return static_cast<int32_t>(KV_OK);
        }
        const int32_t code = fail_of(error, status, "a batch can't be written");
        store->is_stopped = code == KV_FULL;
        return code == KV_FULL ? code : static_cast<int32_t>(KV_POISONED);
    });
}

/* Figures and the end. */

int32_t statistics(kv_store *store, kv_statistics *statistics, kv_error *error) {
    return guarded(error, KV_IO, [&] {
        const struct {
            const char *name, *property;
        } figures[] = {
            {"sorted_bytes", "rocksdb.total-sst-files-size"},
            {"buffer_bytes", "rocksdb.cur-size-all-mem-tables"},
            {"cache_used_bytes", "rocksdb.block-cache-usage"},
            {"pending_compaction_bytes", "rocksdb.estimate-pending-compaction-bytes"},
            {"background_errors", "rocksdb.background-errors"},
        };
        for (const auto &figure : figures) {
            kv_figure *target = &statistics->figures[statistics->figure_count++];
            std::snprintf(target->name, sizeof target->name, "%s", figure.name);
            store->db->GetIntProperty(figure.property, &target->value);
        }
        (void)error;
        statistics->keys = store->total;
        statistics->bytes_on_disk = statistics->figures[0].value + statistics->figures[1].value;
        return static_cast<int32_t>(KV_OK);
    });
}

int32_t close_store(kv_store *store, kv_error *error) {
    return guarded(error, KV_IO, [&] {
        std::unique_ptr<kv_store> last(store);
        /* Spares the next open to read the log; if it fails the data is in the log all the same. */
        last->db->Flush(rocksdb::FlushOptions(), last->families).PermitUncheckedError();
        const Status status = last->close();
        return status.ok() ? static_cast<int32_t>(KV_OK) : fail_of(error, status, "the database can't be closed");
    });
}

int32_t destroy(kv_store *store, kv_error *error) {
    return guarded(error, KV_IO, [&] {
        std::unique_ptr<kv_store> last(store);
        Status status = last->close();
        last->db.reset();
        if (unlink((last->folder + "/acknowledged").c_str()) != 0 && errno != ENOENT) {
            return fail_of_system(error, "the file rocksdb/acknowledged can't be removed");
        }
        if (status.ok()) status = rocksdb::DestroyDB(last->folder, last->options);
        if (!status.ok()) return fail_of(error, status, "the database can't be removed");
        if (rmdir(last->folder.c_str()) != 0 && errno != ENOENT) {
            return fail_of_system(error, "the folder rocksdb can't be removed");
        }
        return static_cast<int32_t>(KV_OK);
    });
}

const kv_backend_table table = {
    KV_BACKEND_ABI,
    sizeof(kv_backend_table),
    "rocksdb",
    "RocksDB: a log-structured merge tree for data much larger than memory",
    KV_ATOMIC_BATCHES | KV_DURABLE | KV_ORDERED_SCAN,
    uint64_t{1} << 30,
    open_store,
    read_value,
    scan,
    apply,
    statistics,
    close_store,
    destroy,
};

} // namespace

const kv_backend_table *kv_backend_plugin(uint32_t host_abi) { return host_abi == KV_BACKEND_ABI ? &table : nullptr; }
