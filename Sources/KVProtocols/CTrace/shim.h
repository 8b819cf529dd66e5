// Tracing of one process by another. ptrace is variadic, which Swift can't call, and registers differ between
// processors: what does lies behind the functions below.
#if defined(__linux__)
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/xattr.h>

// From unistd.h, where it hides behind _DEFAULT_SOURCE.
extern long syscall(long number, ...);

// What a system call does to files. The numbers of the calls differ between processors, and some have only the newer ones.
enum kv_call {
    KV_CALL_OTHER = 0,
    KV_CALL_OPEN, KV_CALL_OPENAT, KV_CALL_OPENAT2, KV_CALL_CREAT,
    KV_CALL_WRITE, KV_CALL_PWRITE, KV_CALL_WRITEV, KV_CALL_PWRITEV, KV_CALL_PWRITEV2,
    KV_CALL_READ, KV_CALL_PREAD, KV_CALL_READV, KV_CALL_PREADV, KV_CALL_GETDENTS,
    KV_CALL_TRUNCATE, KV_CALL_FTRUNCATE, KV_CALL_FALLOCATE,
    KV_CALL_FSYNC, KV_CALL_FDATASYNC, KV_CALL_SYNCFS, KV_CALL_SYNC,
    KV_CALL_RENAME, KV_CALL_RENAMEAT, KV_CALL_RENAMEAT2,
    KV_CALL_UNLINK, KV_CALL_UNLINKAT, KV_CALL_RMDIR, KV_CALL_MKDIR, KV_CALL_MKDIRAT,
    KV_CALL_LINK, KV_CALL_LINKAT, KV_CALL_SYMLINK, KV_CALL_SYMLINKAT,
    KV_CALL_SETXATTR, KV_CALL_FSETXATTR, KV_CALL_REMOVEXATTR, KV_CALL_FREMOVEXATTR,
    KV_CALL_COPY_FILE_RANGE, KV_CALL_SENDFILE, KV_CALL_SPLICE, KV_CALL_MMAP, KV_CALL_IOCTL,
    KV_CALL_IO_URING_SETUP, KV_CALL_IO_SETUP
};

static inline int32_t kv_call_of(uint64_t number) {
    switch (number) {
#ifdef SYS_open
    case SYS_open: return KV_CALL_OPEN;
#endif
    case SYS_openat: return KV_CALL_OPENAT;
#ifdef SYS_openat2
    case SYS_openat2: return KV_CALL_OPENAT2;
#endif
#ifdef SYS_creat
    case SYS_creat: return KV_CALL_CREAT;
#endif
    case SYS_write: return KV_CALL_WRITE;
    case SYS_pwrite64: return KV_CALL_PWRITE;
    case SYS_writev: return KV_CALL_WRITEV;
    case SYS_pwritev: return KV_CALL_PWRITEV;
    case SYS_pwritev2: return KV_CALL_PWRITEV2;
    case SYS_read: return KV_CALL_READ;
    case SYS_pread64: return KV_CALL_PREAD;
    case SYS_readv: return KV_CALL_READV;
    case SYS_preadv: return KV_CALL_PREADV;
    case SYS_getdents64: return KV_CALL_GETDENTS;
    case SYS_truncate: return KV_CALL_TRUNCATE;
    case SYS_ftruncate: return KV_CALL_FTRUNCATE;
    case SYS_fallocate: return KV_CALL_FALLOCATE;
    case SYS_fsync: return KV_CALL_FSYNC;
    case SYS_fdatasync: return KV_CALL_FDATASYNC;
    case SYS_syncfs: return KV_CALL_SYNCFS;
    case SYS_sync: return KV_CALL_SYNC;
#ifdef SYS_rename
    case SYS_rename: return KV_CALL_RENAME;
#endif
#ifdef SYS_renameat
    case SYS_renameat: return KV_CALL_RENAMEAT;
#endif
    case SYS_renameat2: return KV_CALL_RENAMEAT2;
#ifdef SYS_unlink
    case SYS_unlink: return KV_CALL_UNLINK;
#endif
    case SYS_unlinkat: return KV_CALL_UNLINKAT;
#ifdef SYS_rmdir
    case SYS_rmdir: return KV_CALL_RMDIR;
#endif
#ifdef SYS_mkdir
    case SYS_mkdir: return KV_CALL_MKDIR;
#endif
    case SYS_mkdirat: return KV_CALL_MKDIRAT;
#ifdef SYS_link
    case SYS_link: return KV_CALL_LINK;
#endif
    case SYS_linkat: return KV_CALL_LINKAT;
#ifdef SYS_symlink
    case SYS_symlink: return KV_CALL_SYMLINK;
#endif
    case SYS_symlinkat: return KV_CALL_SYMLINKAT;
    case SYS_setxattr: return KV_CALL_SETXATTR;
    case SYS_fsetxattr: return KV_CALL_FSETXATTR;
    case SYS_removexattr: return KV_CALL_REMOVEXATTR;
    case SYS_fremovexattr: return KV_CALL_FREMOVEXATTR;
    case SYS_copy_file_range: return KV_CALL_COPY_FILE_RANGE;
    case SYS_sendfile: return KV_CALL_SENDFILE;
    case SYS_splice: return KV_CALL_SPLICE;
    case SYS_mmap: return KV_CALL_MMAP;
    case SYS_ioctl: return KV_CALL_IOCTL;
#ifdef SYS_io_uring_setup
    case SYS_io_uring_setup: return KV_CALL_IO_URING_SETUP;
#endif
    case SYS_io_setup: return KV_CALL_IO_SETUP;
    default: return KV_CALL_OTHER;
    }
}

// Flags that Swift's Glibc module leaves out.
enum {
    KV_RENAME_EXCHANGE = 2, KV_RWF_DSYNC = 2, KV_RWF_SYNC = 4, KV_RWF_APPEND = 16,
    KV_O_TMPFILE = 020000000, KV_WAIT_ALL_KINDS = 0x40000000, KV_WAIT_OWN_THREAD = 0x20000000,
    KV_FICLONE = 0x40049409, KV_FICLONERANGE = 0x4020940d
};

// Where a traced thread stands: at the entry of a system call (operation 1), or at its exit (2).
struct kv_trace_stop {
    int32_t operation;
    uint64_t number;
    uint64_t arguments[6];
    int64_t result;
};

static inline int32_t kv_trace_seize(pid_t process) {
    unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_EXITKILL;
    return ptrace(PTRACE_SEIZE, process, (void *)0, (void *)options) == 0 ? 0 : errno;
}

static inline int32_t kv_trace_interrupt(pid_t thread) {
    return ptrace(PTRACE_INTERRUPT, thread, (void *)0, (void *)0) == 0 ? 0 : errno;
}

// Lets a stopped thread run up to its next entry or exit.
static inline int32_t kv_trace_resume(pid_t thread, int32_t signal) {
    return ptrace(PTRACE_SYSCALL, thread, (void *)0, (void *)(long)signal) == 0 ? 0 : errno;
}

// Leaves a stopped thread in the group stop in which it is.
static inline int32_t kv_trace_listen(pid_t thread) {
    return ptrace(PTRACE_LISTEN, thread, (void *)0, (void *)0) == 0 ? 0 : errno;
}

static inline int32_t kv_trace_look(pid_t thread, struct kv_trace_stop *stop) {
    struct {
        uint8_t operation;
        uint8_t padding[3];
        uint32_t architecture;
        uint64_t instruction, stack;
        union {
            struct { uint64_t number, arguments[6]; } entry;
            struct { int64_t result; uint8_t is_error; } exit;
            uint64_t space[8];
        } of;
    } info;
    memset(&info, 0, sizeof info);
    // PTRACE_GET_SYSCALL_INFO, Linux 5.3
    if (ptrace((enum __ptrace_request)0x420e, thread, (void *)sizeof info, &info) <= 0) return errno ? errno : EINVAL;
    stop->operation = info.operation;
    if (info.operation == 1) {
        stop->number = info.of.entry.number;
        memcpy(stop->arguments, info.of.entry.arguments, sizeof stop->arguments);
    } else if (info.operation == 2) {
        stop->result = info.of.exit.result;
    }
    return 0;
}

// Copies from another process. Returns the number of bytes, or a negative error number.
static inline int64_t kv_trace_copy(pid_t process, uint64_t address, void *target, uint64_t count) {
    struct iovec here = {target, count}, there = {(void *)address, count};
    long got = syscall(SYS_process_vm_readv, (long)process, &here, 1L, &there, 1L, 0L);
    return got < 0 ? -errno : got;
}

// Whether the two functions below work on this processor.
static inline int32_t kv_trace_can_inject(void) {
#if defined(__x86_64__) || defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

#if defined(__x86_64__) || defined(__aarch64__)
static inline int32_t kv_trace_registers(pid_t thread, int request, struct user_regs_struct *registers) {
    struct iovec vector = {registers, sizeof *registers};
    return ptrace((enum __ptrace_request)request, thread, (void *)NT_PRSTATUS, &vector) == 0 ? 0 : errno;
}
#endif

// At the entry of a system call: it shall not happen.
static inline int32_t kv_trace_skip(pid_t thread) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    int32_t code = kv_trace_registers(thread, PTRACE_GETREGSET, &registers);
    if (code) return code;
    registers.orig_rax = (unsigned long long)-1;
    return kv_trace_registers(thread, PTRACE_SETREGSET, &registers);
#elif defined(__aarch64__)
    int32_t number = -1;
    struct iovec vector = {&number, sizeof number};
    // NT_ARM_SYSTEM_CALL
    return ptrace(PTRACE_SETREGSET, thread, (void *)0x404, &vector) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

// At the exit of a system call: what it returns.
static inline int32_t kv_trace_set_result(pid_t thread, int64_t result) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    int32_t code = kv_trace_registers(thread, PTRACE_GETREGSET, &registers);
    if (code) return code;
    registers.rax = (unsigned long long)result;
    return kv_trace_registers(thread, PTRACE_SETREGSET, &registers);
#elif defined(__aarch64__)
    struct user_regs_struct registers;
    int32_t code = kv_trace_registers(thread, PTRACE_GETREGSET, &registers);
    if (code) return code;
    registers.regs[0] = (unsigned long long)result;
    return kv_trace_registers(thread, PTRACE_SETREGSET, &registers);
#else
    return ENOSYS;
#endif
}

// At the entry of write or pwrite: how many bytes it shall take at most.
static inline int32_t kv_trace_set_count(pid_t thread, uint64_t count) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    int32_t code = kv_trace_registers(thread, PTRACE_GETREGSET, &registers);
    if (code) return code;
    registers.rdx = count;
    return kv_trace_registers(thread, PTRACE_SETREGSET, &registers);
#elif defined(__aarch64__)
    struct user_regs_struct registers;
    int32_t code = kv_trace_registers(thread, PTRACE_GETREGSET, &registers);
    if (code) return code;
    registers.regs[2] = count;
    return kv_trace_registers(thread, PTRACE_SETREGSET, &registers);
#else
    return ENOSYS;
#endif
}
#endif
