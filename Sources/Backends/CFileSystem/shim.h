// Calls of Linux that Swift's Glibc module leaves out.
#if defined(__linux__)
#include <sys/types.h>
#include <sys/xattr.h>

// From fcntl.h, where it hides behind _GNU_SOURCE.
extern int sync_file_range(int descriptor, off_t offset, off_t count, unsigned int flags);
enum { KV_SYNC_FILE_RANGE_WRITE = 2 };
// From fcntl.h, likewise; the same number on every architecture that Swift runs on.
enum { KV_O_NOATIME = 01000000 };
// From unistd.h, likewise.
extern int syncfs(int descriptor);
#endif
