/* A disk that refuses, put in the place of the real one when the launcher is linked. What BAD_DISK says:
 * "splice"  there is no splice
 * "28"      every write to the log fails with that errno
 * "tell"    all goes well, and stderr tells what is made durable, and in which order
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t __wrap_splice(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags);
ssize_t __wrap_pwrite(int file, const void *bytes, size_t count, off_t at);
ssize_t __real_pwrite(int file, const void *bytes, size_t count, off_t at);
int __wrap_fdatasync(int file);
int __real_fdatasync(int file);
int __wrap_fsync(int file);
int __real_fsync(int file);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __real_renameat(int from_directory, const char *from, int to_directory, const char *to);

static int refusal(void) {
    return atoi(getenv("BAD_DISK"));
}

static void tell(const char *what) {
    if (strcmp(getenv("BAD_DISK"), "tell") == 0) fprintf(stderr, "%s\n", what);
}

ssize_t __wrap_splice(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags) {
    (void)from, (void)from_at, (void)to, (void)to_at, (void)count, (void)flags;
    errno = refusal() ? refusal() : EINVAL;
    return -1;
}

ssize_t __wrap_pwrite(int file, const void *bytes, size_t count, off_t at) {
    if (!refusal()) return __real_pwrite(file, bytes, count, at);
    errno = refusal();
    return -1;
}

int __wrap_fdatasync(int file) {
    tell("fdatasync");
    return __real_fdatasync(file);
}

int __wrap_fsync(int file) {
    tell("fsync");
    return __real_fsync(file);
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to) {
    tell("renameat");
    return __real_renameat(from_directory, from, to_directory, to);
}
