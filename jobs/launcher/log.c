/* The log of a job: every byte, at the speed of a file; beside it, once a second, at which offset it was.
 *
 * A byte's place in the file is its place in the output, for ever. Of a log that is longer than its limit the middle is given
 * back to the disk, as a hole in the file; how far that goes is told beside it before it is done.
 */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ENTRY_BYTES = 32 };                       /* "offset milliseconds\n", with leading zeros */
static const Milliseconds GRAIN = 1000;          /* between two entries of the times, at the least */
static const char FULL[] = "\nhimalia: the log is as long as it may be here; what follows is not kept\n";
static const char GAP[] = "\nhimalia: some output is missing here: the disk of the log was full\n";

static Milliseconds read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

Milliseconds now(void) { return read_clock(CLOCK_MONOTONIC); }

/* ---- Plain files in a directory that belongs to the job ---- */

int open_plain(int directory, const char *name, const char *what) {
    /* Non-blocking, so that a fifo is an error and not a wait. */
    int file = openat(directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
    struct stat state;
    if (file >= 0 && fstat(file, &state) == 0 && S_ISREG(state.st_mode) && state.st_nlink == 1) return file;
    bool odd = file >= 0 || errno == ELOOP || errno == EISDIR || errno == ENXIO;
    complain(2, "the %s %s cannot be written: %s", what, name,
             odd ? "a link, a directory or a device lies there; remove it and start the job again" : strerror(errno));
    if (file >= 0) close(file);
    return -1;
}

static int open_beside(const char *path, const char *ending, const char *what) {
    char name[PATH_MAX];
    int length = snprintf(name, sizeof name, "%s%s", path, ending);
    return length < (int)sizeof name ? open_plain(AT_FDCWD, name, what) : -1;
}

/* Tell how much is left out, before it is: whoever reads a byte and finds it not told has read what was printed. */
static bool tell_left_out(const Log *log) {
    char entry[2 * ENTRY_BYTES];
    snprintf(entry, sizeof entry, "%015lld %015lld\n", (long long)log->head, (long long)log->left_out);
    return pwrite(log->left_out_file, entry, ENTRY_BYTES, 0) == ENTRY_BYTES;
}

static void set_limit(Log *log, const char *path, off_t limit) {
    off_t half = limit / 2 / PAGE_BYTES * PAGE_BYTES;
    if (half == 0) return;
    log->slack = half / 8 / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES;
    log->head = log->left_out = half;
    log->tail = half > log->slack ? half - log->slack : 0;
    log->left_out_file = open_beside(path, ".left-out", "list of what the log leaves out");
    tell_left_out(log);   /* what goes wrong here shows when something is left out */
}

bool open_log(Log *log, const char *path, off_t limit) {
    *log = (Log){.file = open_plain(AT_FDCWD, path, "log"), .may_splice = true, .left_out_file = -1};
    if (log->file < 0) return false;
    log->length = lseek(log->file, 0, SEEK_END);   /* not O_APPEND, which splice refuses */
    Times *times = &log->times;
    times->file = open_beside(path, ".times", "list of the log's times");
    if (times->file >= 0) times->length = lseek(times->file, 0, SEEK_END) / ENTRY_BYTES * ENTRY_BYTES;
    /* A clock that is set while the job runs changes nothing: the entries never go back. */
    times->to_wall = read_clock(CLOCK_REALTIME) - now();
    set_limit(log, path, limit);
    return true;
}

/* ---- When which offset was reached ---- */

/* Note that the next byte comes now, before it can be read: whoever sees a byte finds its time. */
static void note_time(Log *log) {
    Times *times = &log->times;
    Milliseconds time = now();
    if (times->file < 0 || time < times->next) return;
    char entry[ENTRY_BYTES + 1];
    snprintf(entry, sizeof entry, "%016lld %014lld\n", (long long)log->length, time + times->to_wall);
    if (pwrite(times->file, entry, ENTRY_BYTES, times->length) != ENTRY_BYTES) return;   /* the next one tries again */
    times->length += ENTRY_BYTES;
    times->next = time + GRAIN;
}

/* ---- The bytes ---- */

/* Write as much as the disk takes; return how much that was. */
static size_t append(Log *log, const char *bytes, size_t count) {
    size_t kept = 0;
    while (kept < count) {
        ssize_t written = pwrite(log->file, bytes + kept, count - kept, log->length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        kept += (size_t)written;
        log->length += written;
    }
    return kept;
}

/* Keep bytes, or count them as dropped while the disk takes no more: the job itself must never wait for a disk. */
static void keep(Log *log, const char *bytes, size_t count) {
    if (log->gap) {
        log->told += append(log, GAP + log->told, sizeof GAP - 1 - log->told);
        log->gap = log->told < sizeof GAP - 1;
    }
    size_t kept = log->gap ? 0 : append(log, bytes, count);
    if (kept == count) return;
    log->dropped += (long long)(count - kept);
    if (!log->gap) log->told = 0;   /* a new gap, to be told from its start */
    log->gap = true;
}

/* Give the middle of a long log back to the disk, a good piece at a time. */
static void leave_out(Log *log) {
    off_t from = log->left_out, to = (log->length - log->tail) / PAGE_BYTES * PAGE_BYTES;
    if (log->head == 0 || log->full || to - from < log->slack) return;
    log->left_out = to;
    if (tell_left_out(log) && fallocate(log->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from) == 0)
        return;
    log->left_out = from;
    tell_left_out(log);
    append(log, FULL, sizeof FULL - 1);
    log->full = true;
}

ssize_t carry(Log *log, int pipe) {
    static char bytes[PIPE_BYTES];
    note_time(log);
    if (log->may_splice && !log->gap && !log->full) {
        ssize_t moved = splice(pipe, NULL, log->file, &log->length, PIPE_BYTES, SPLICE_F_NONBLOCK);
        if (moved > 0) leave_out(log);
        if (moved >= 0 || errno == EAGAIN || errno == EINTR) return moved;
        log->may_splice = errno != EINVAL;   /* this file system has no splice; any other error is the disk's */
    }
    ssize_t count = read(pipe, bytes, sizeof bytes);
    if (count > 0 && log->full) log->dropped += count;
    else if (count > 0) keep(log, bytes, (size_t)count);
    leave_out(log);
    return count;
}

void drain(Log *log, int pipe) {
    int left = 0;
    ioctl(pipe, FIONREAD, &left);
    while (left > 0) {
        ssize_t moved = carry(log, pipe);
        if (moved <= 0) break;
        left -= (int)moved;
    }
    if (log->gap) keep(log, "", 0);
    if (log->left_out > log->head) fdatasync(log->left_out_file);
    fdatasync(log->file);
}
