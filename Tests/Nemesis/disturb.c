/* Preloaded into a server: makes syncing fail or slow, and the wall clock jump, when the test says so.
 *
 * The file that NEMESIS_CONTROL names holds three numbers of 64 bits, mapped into memory, so that a look costs nothing:
 * syncing fails if the first isn't 0; takes as many milliseconds longer as the second says; and the wall clock is as
 * many seconds off as the third says. Monotonic clocks and timers are left alone, as when somebody sets the clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t nothing[3];
static const volatile int64_t *control = nothing;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("NEMESIS_CONTROL");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof nothing, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) control = mapped;
}

#define REAL(name, parameters)                \
    static int (*real) parameters;            \
    if (real == NULL) real = (int (*) parameters)dlsym(RTLD_NEXT, #name)

/* 1 when the call shall fail. */
static int sync_fails(void) {
    if (control[1] != 0) usleep((useconds_t)control[1] * 1000);
    if (control[0] == 0) return 0;
    errno = EIO;
    return 1;
}

int fsync(int file) {
    REAL(fsync, (int));
    return sync_fails() ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(fdatasync, (int));
    return sync_fails() ? -1 : real(file);
}

int msync(void *address, size_t length, int flags) {
    REAL(msync, (void *, size_t, int));
    return sync_fails() ? -1 : real(address, length, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime, (clockid_t, struct timespec *));
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control[2];
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday, (struct timeval *restrict, void *restrict));
    int result = real(now, zone);
    if (result == 0) now->tv_sec += control[2];
    return result;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now != NULL) *now = exact.tv_sec;
    return exact.tv_sec;
}
