/* The log of a job: its bytes, and beside it when they came. */
#ifndef HIMALIA_LOG_H
#define HIMALIA_LOG_H
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* The kernel counts the pipes of one user, and gives tiny ones above 64 MiB: this size is good for 256 jobs at once. */
enum { PIPE_BYTES = 256 * 1024, PAGE_BYTES = 4096 };

typedef long long Milliseconds;   /* of the monotonic clock */

typedef struct {
    int file;              /* -1: there is none, which harms nobody */
    off_t length;
    Milliseconds next;     /* until then the last entry speaks for what comes */
    Milliseconds to_wall;  /* from the monotonic clock to the time of day, as it was at the start */
} Times;

typedef struct {
    int file;
    off_t length;
    long long dropped;
    bool may_splice;
    bool gap;      /* something was dropped since the last byte that was kept */
    size_t told;   /* how much of the line about the gap is written already */
    Times times;
    off_t head, tail, slack;   /* with a limit: so much of the beginning is kept, and of the end; 0: there is none */
    off_t left_out;            /* what lies between the head and here was given back to the disk */
    int left_out_file;         /* tells so */
    bool full;                 /* nothing can be given back: what follows is dropped */
} Log;

#define complain(to, format, ...) dprintf(to, "himalia: " format "\n", ##__VA_ARGS__)

/* Return milliseconds of the monotonic clock. */
Milliseconds now(void);

/* Open a file of the job's run directory to be written, or complain; -1 for a link, a directory, a device. */
int open_plain(int directory, const char *name, const char *what);

/* Open the log, and beside it its times and what is left out; a log that is there is continued. Limit 0: there is none. */
bool open_log(Log *log, const char *path, off_t limit);

/* Move at most one pipe full, so that signals are heard; return 0 when nobody can print any more, -1 if nobody did. */
ssize_t carry(Log *log, int pipe);

/* Keep what was printed before the end, and nothing that somebody out of reach goes on to print. */
void drain(Log *log, int pipe);

#endif
