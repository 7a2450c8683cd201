/* A library for LD_PRELOAD: writes below one folder fail from the n-th on, for a while, as where a disk is full or broken.
 *
 * FAULTS_FOLDER  the folder
 * FAULTS_FIRST   the call that fails first, counted from 1 in each process
 * FAULTS_COUNT   how many calls fail, one after another
 * FAULTS_ERRNO   28 (ENOSPC), 5 (EIO) or 30 (EROFS)
 *
 * Every other failing write writes half of its bytes first: a caller must cope with both.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static const char *folder;
static long first, count;
static int fault;

__attribute__((constructor)) static void configure(void) {
    const char *wanted = getenv("FAULTS_FOLDER");
    folder = wanted && *wanted ? wanted : NULL;
    first = atol(getenv("FAULTS_FIRST") ? getenv("FAULTS_FIRST") : "0");
    count = atol(getenv("FAULTS_COUNT") ? getenv("FAULTS_COUNT") : "0");
    fault = atoi(getenv("FAULTS_ERRNO") ? getenv("FAULTS_ERRNO") : "28");
}

static int inside(const char *path) { return folder && strncmp(path, folder, strlen(folder)) == 0; }

static int concerns(int descriptor) {
    char link[64], path[4096];
    ssize_t length;
    if (!folder)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return inside(path);
}

/* Count a call; return its number among the failing ones, or 0. */
static long fails(int concerned) {
    long number;
    if (!concerned || !first)
        return 0;
    number = atomic_fetch_add(&calls, 1) + 1;
    return number >= first && number < first + count ? number - first + 1 : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define FAIL(concerned)      \
    if (fails(concerned)) {  \
        errno = fault;       \
        return -1;           \
    }

#define WRITE(name, parameters, arguments, half)      \
    ssize_t name parameters {                         \
        long number = fails(concerns(descriptor));    \
        if (number % 2 == 0 && number && size > 1)    \
            return REAL(name) half;                   \
        if (number) {                                 \
            errno = fault;                            \
            return -1;                                \
        }                                             \
        return REAL(name) arguments;                  \
    }

WRITE(write, (int descriptor, const void *data, size_t size), (descriptor, data, size), (descriptor, data, size / 2))
WRITE(pwrite, (int descriptor, const void *data, size_t size, off_t at), (descriptor, data, size, at),
      (descriptor, data, size / 2, at))
WRITE(pwrite64, (int descriptor, const void *data, size_t size, off64_t at), (descriptor, data, size, at),
      (descriptor, data, size / 2, at))

int fsync(int descriptor) {
    FAIL(concerns(descriptor))
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    FAIL(concerns(descriptor))
    return REAL(fdatasync)(descriptor);
}

int ftruncate(int descriptor, off_t size) {
    FAIL(concerns(descriptor))
    return REAL(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
    FAIL(concerns(descriptor))
    return REAL(ftruncate64)(descriptor, size);
}

int rename(const char *from, const char *to) {
    FAIL(inside(from))
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    FAIL(inside(path))
    return REAL(unlink)(path);
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        mode_t mode = 0;                                            \
        if (flags & (O_CREAT | O_TMPFILE)) {                        \
            va_list more;                                           \
            va_start(more, flags);                                  \
            mode = va_arg(more, mode_t);                            \
            va_end(more);                                           \
        }                                                           \
        if (flags & O_CREAT) {                                      \
            FAIL(inside(path))                                      \
        }                                                           \
        return REAL(name)(path, flags, mode);                       \
    }

OPEN(open)
OPEN(open64)
