/* Pid 1 of a job's container: runs the command, keeps its output, ends what it leaves behind, records how it ended.
 *
 * What a job prints goes through a pipe into a file: byte for byte, at the speed of a file, and nothing that a job or a
 * reader does (`echo x > /dev/stderr`, a follower that hangs) can harm it. README.md has the promises.
 */
#define _GNU_SOURCE
#include "log.h"
#include "processes.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_STARTED = 125, CANNOT_RUN = 126, NOT_FOUND = 127, KILLED = 128 + SIGKILL };
enum { WARNING = SIGUSR1 };
enum { MAX_MKDIRS = 64, RECORD_BYTES = 512 };
static const Milliseconds LEFTOVERS = 2000;    /* from TERM to KILL for what the main process leaves behind */
static const Milliseconds DYING = 5000;        /* from KILL until a process that does not die is given up */
static const Milliseconds KILL_AGAIN = 100;
static const Milliseconds NEVER = LLONG_MAX;

static const char USAGE[] =
    "usage: --log FILE --exit FILE [--limit BYTES] [--grace SECONDS] [--workdir DIR] [--mkdir DIR]... -- COMMAND [ARG...]";
static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

typedef struct {
    char *log, *exit, *workdir, *mkdirs[MAX_MKDIRS];
    int mkdir_count;
    Milliseconds grace;
    long long limit;   /* of the log, in bytes; 0: none */
    char **command;
} Options;

typedef struct {
    int directory, file;
    char *name, part[NAME_MAX + 1], started[40];
    long long oom_kills;   /* at the start */
} Record;

typedef struct {
    pid_t main;
    int code, signal;        /* of the main process; the code is -1 until it has ended */
    bool all_ended, stopped, warned;
    Milliseconds grace, kill_at, give_up_at;
} Job;

static Milliseconds least(Milliseconds one, Milliseconds other) { return one < other ? one : other; }

static void write_time(char *to, size_t size) {
    struct timespec time;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &time);
    gmtime_r(&time.tv_sec, &utc);
    size_t length = strftime(to, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(to + length, size - length, ".%06ldZ", time.tv_nsec / 1000);
}

/* ---- The exit record ---- */

/* Make the record's file, with its space on the disk, while there is some. */
static bool reserve_record(Record *record, const char *path) {
    char blank[RECORD_BYTES], *directory = dirname(strdup(path));
    memset(blank, ' ', sizeof blank);
    record->name = basename(strdup(path));
    snprintf(record->part, sizeof record->part, "%.*s.part", NAME_MAX - 5, record->name);
    record->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (record->directory < 0) complain(2, "the directory %s cannot be opened: %s", directory, strerror(errno));
    else record->file = open_plain(record->directory, record->part, "exit record");
    if (record->directory < 0 || record->file < 0) return false;
    bool kept = ftruncate(record->file, 0) == 0 && write(record->file, blank, sizeof blank) == sizeof blank;
    if (!kept) complain(2, "no space for the exit record %s: %s; make room on the disk", path, strerror(errno));
    return kept;
}

/* Return whether the reserved file still lies where it was made: a job can put something else there. */
static bool still_there(const Record *record) {
    struct stat ours, there;
    return fstat(record->file, &ours) == 0
        && fstatat(record->directory, record->part, &there, AT_SYMLINK_NOFOLLOW) == 0
        && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static void write_record(Record *record, const Job *job, const Log *log) {
    char text[RECORD_BYTES], finished[40], code[12] = "null", signal[12] = "null";
    if (job->code >= 0) snprintf(code, sizeof code, "%d", job->code);
    if (job->signal) snprintf(signal, sizeof signal, "%d", job->signal);
    write_time(finished, sizeof finished);
    int length = snprintf(
        text, sizeof text,
        "{\"version\":1,\"code\":%s,\"signal\":%s,\"started\":\"%s\",\"finished\":\"%s\","
        "\"log_bytes\":%lld,\"dropped_bytes\":%lld,\"left_out_bytes\":%lld,\"stopped\":%s,\"oom_kills\":%lld}\n",
        code, signal, record->started, finished, (long long)log->length, log->dropped,
        (long long)(log->left_out - log->head), job->stopped ? "true" : "false", count_oom_kills() - record->oom_kills);
    if (!still_there(record)) {
        unlinkat(record->directory, record->part, 0);
        close(record->file);
        record->file = openat(record->directory, record->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
    bool written = lseek(record->file, 0, SEEK_SET) == 0 && write(record->file, text, (size_t)length) == length
        && ftruncate(record->file, length) == 0 && fsync(record->file) == 0
        && renameat(record->directory, record->part, record->directory, record->name) == 0;
    if (!written) complain(2, "the exit record %s cannot be written: %s", record->name, strerror(errno));
    fsync(record->directory);
}

/* ---- The processes of the job ---- */

/* Collect those who have ended; when the main process is among them, ask the others to end. */
static void reap(Job *job) {
    int status, code_before = job->code;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != job->main) continue;
        job->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        job->code = job->signal ? 128 + job->signal : WEXITSTATUS(status);
    }
    job->all_ended = pid < 0;
    /* Those who were stopped have had their TERM, and keep the rest of their grace: one may be saving a checkpoint. */
    if (job->code == code_before || job->all_ended || job->stopped) return;
    job->kill_at = least(job->kill_at, now() + least(LEFTOVERS, job->grace));
    signal_all(SIGTERM);
}

static void hear(Job *job, int signals) {
    struct signalfd_siginfo heard;
    while (read(signals, &heard, sizeof heard) == sizeof heard) {
        int signal = (int)heard.ssi_signo;
        if (signal == SIGCHLD) reap(job);
        else if (signal == WARNING) {
            if (!job->warned) warn_all(signal);
            job->warned = true;   /* whoever warns may not know that it did, and do it again */
        } else if (signal != SIGPIPE && signal != SIGXFSZ) signal_all(signal);   /* those are about our own writing */
        if (signal != SIGTERM || job->code >= 0) continue;
        job->stopped = true;
        job->kill_at = least(job->kill_at, now() + job->grace);
    }
}

/* Kill everybody whose time is up; return whether it is worth waiting on. */
static bool enforce(Job *job) {
    Milliseconds time = now();
    if (time < job->kill_at) return true;
    job->give_up_at = least(job->give_up_at, time + DYING);
    /* Once more every now and then: outside a container, children of the killed are found only afterwards. */
    job->kill_at = time + KILL_AGAIN;
    signal_all(SIGKILL);
    return time < job->give_up_at;
}

static void watch(Job *job, Log *log, int signals, int pipe) {
    fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES);
    fcntl(pipe, F_SETFL, O_NONBLOCK);
    struct pollfd sources[2] = {{.fd = signals, .events = POLLIN}, {.fd = pipe, .events = POLLIN}};
    while (!job->all_ended && enforce(job)) {
        Milliseconds wait = job->kill_at - now();
        poll(sources, 2, job->kill_at == NEVER ? -1 : (int)least(wait > 0 ? wait : 0, INT_MAX));
        ssize_t moved = sources[1].revents ? carry(log, pipe) : -1;
        if (moved == 0) sources[1].fd = -1;   /* nobody can print any more */
        /* Little came: let small lines pile up for a millisecond, which makes them cheap. A signal ends the wait. */
        if (moved > 0 && moved < PAGE_BYTES) poll(sources, 1, 1);
        if (sources[0].revents) hear(job, signals);
    }
}

/* ---- The start ---- */

/* Make a directory and those above it. */
static bool make_directory(char *path) {
    struct stat state;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);   /* what goes wrong here shows in the last one */
        *slash = '/';
    }
    return mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &state) == 0 && S_ISDIR(state.st_mode));
}

/* Find a command as a shell does; execvp says "not executable" when PATH names a directory that may not be read. */
static bool find_command(const char *name, char *found, size_t size) {
    const char *path = getenv("PATH");
    char candidate[PATH_MAX], *rest = strdup(path ? path : DEFAULT_PATH);
    struct stat state;
    bool there = false;
    snprintf(found, size, "%s", name);
    if (strchr(name, '/')) return access(name, F_OK) == 0;
    for (char *directory; *name && (directory = strsep(&rest, ":"));) {
        snprintf(candidate, sizeof candidate, "%s/%s", *directory ? directory : ".", name);
        if (stat(candidate, &state) || !S_ISREG(state.st_mode)) continue;
        there = true;
        snprintf(found, size, "%s", candidate);
        if (access(candidate, X_OK) == 0) break;
    }
    return there;
}

/* Become the command, or say why not, into the log. */
static _Noreturn void become(const Options *options) {
    for (int i = 0; i < options->mkdir_count; i++) {
        if (make_directory(options->mkdirs[i])) continue;
        complain(2, "%s: the directory cannot be made: %s", options->mkdirs[i], strerror(errno));
        _exit(NOT_STARTED);
    }
    if (options->workdir && chdir(options->workdir)) {
        complain(2, "%s: cannot work in this directory: %s", options->workdir, strerror(errno));
        _exit(NOT_STARTED);
    }
    const char *name = options->command[0];
    char found[PATH_MAX];
    if (!find_command(name, found, sizeof found)) {
        complain(2, "%s: command not found", name);
        _exit(NOT_FOUND);
    }
    execvp(found, options->command);   /* with its way of running a script that has no #! line */
    if (errno == ENOENT) complain(2, "%s: cannot be run: the interpreter in its first line is not there", name);
    else if (errno == EACCES) complain(2, "%s: not executable (try chmod +x, or name its interpreter before it)", name);
    else complain(2, "%s: cannot be run: %s", name, strerror(errno));
    _exit(CANNOT_RUN);
}

static pid_t start(const Options *options, int null, int output) {
    pid_t child = fork();
    if (child != 0) return child;
    setsid();
    sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);   /* also what was inherited */
    dup2(null, 0);
    for (int to = 1; to <= 2; to++) dup2(output, to);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    become(options);
}

static bool read_options(Options *options, int count, char **words) {
    static const struct option NAMES[] = {{"log", 1, NULL, 'l'},     {"exit", 1, NULL, 'e'},  {"grace", 1, NULL, 'g'},
                                          {"workdir", 1, NULL, 'w'}, {"mkdir", 1, NULL, 'm'}, {"limit", 1, NULL, 'b'},
                                          {0}};
    *options = (Options){0};
    double seconds = 10;
    char *end = "", *limit_end = "";
    for (int option; (option = getopt_long(count, words, "+", NAMES, NULL)) != -1;) {
        if (option == 'l') options->log = optarg;
        else if (option == 'e') options->exit = optarg;
        else if (option == 'w') options->workdir = optarg;
        else if (option == 'm' && options->mkdir_count < MAX_MKDIRS) options->mkdirs[options->mkdir_count++] = optarg;
        else if (option == 'g') seconds = *optarg ? strtod(optarg, &end) : -1;
        else if (option == 'b') options->limit = *optarg ? strtoll(optarg, &limit_end, 10) : -1;
        else return false;
    }
    options->grace = (Milliseconds)(seconds * 1000);
    options->command = words + optind;
    return options->log && options->exit && optind < count && !*end && seconds >= 0 && seconds < 1e9 && !*limit_end
        && options->limit >= 0;
}

int main(int count, char **words) {
    Options options;
    if (!read_options(&options, count, words)) errx(NOT_STARTED, "%s", USAGE);
    int null, pipe[2];
    do null = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (null >= 0 && null < 3);   /* 0, 1 and 2 are taken from now on */
    /* Not by sigaction(): it leaves the C library's own signals as they were inherited, ignored perhaps. Zeros: SIG_DFL. */
    for (int signal = 1; signal < NSIG; signal++) syscall(SYS_rt_sigaction, signal, (long[8]){0}, NULL, 8);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0);   /* the job runs as the same user, and shall not trace us or reach our files */

    Record record = {.oom_kills = count_oom_kills()};
    Job job = {.code = NOT_STARTED, .grace = options.grace, .kill_at = NEVER, .give_up_at = NEVER};
    write_time(record.started, sizeof record.started);
    if (!reserve_record(&record, options.exit)) return NOT_STARTED;
    int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    Log log;
    if (open_log(&log, options.log, options.limit)) {
        bool ready = null >= 0 && signals >= 0 && pipe2(pipe, O_CLOEXEC) == 0;
        if (ready && (job.main = start(&options, null, pipe[1])) > 0) {
            close(pipe[1]);
            job.code = -1;
            watch(&job, &log, signals, pipe[0]);
            drain(&log, pipe[0]);
        } else complain(2, "the job cannot be started: %s", strerror(errno));
    }
    write_record(&record, &job, &log);
    return job.code < 0 ? KILLED : job.code;
}
