/* The processes of a job's container: reaching them with signals, and counting those that the kernel killed. */
#define _GNU_SOURCE
#include "processes.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Return whether a process has a handler for a signal: for any other that signal is the end. */
static bool listens(pid_t pid, int signal) {
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "SigCgt: %llx", &caught) != 1) continue;
    if (status) fclose(status);
    return caught >> (signal - 1) & 1;
}

/* Send a signal to all descendants: for runs outside a container, where kill(-1) would hit everybody. */
static void signal_descendants(pid_t of, int signal, bool to_listeners) {
    char path[64], *child = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", of, of);
    FILE *children = fopen(path, "re");
    while (children && getdelim(&child, &size, ' ', children) > 0) {
        pid_t pid = atoi(child);
        if (pid <= 1) continue;
        signal_descendants(pid, signal, to_listeners);
        if (!to_listeners || listens(pid, signal)) kill(pid, signal);
    }
    free(child);
    if (children) fclose(children);
}

void signal_all(int signal) {
    if (getpid() == 1) kill(-1, signal);
    else signal_descendants(getpid(), signal, false);
}

void warn_all(int signal) {
    if (getpid() != 1) {
        signal_descendants(getpid(), signal, true);
        return;
    }
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && listens(pid, signal)) kill(pid, signal);
    }
    if (processes) closedir(processes);
}

long long count_oom_kills(void) {
    static const char *const COUNTS[] = {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"};
    char line[128];
    long long killed = 0;
    for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++) {
        FILE *counts = fopen(COUNTS[i], "re");
        while (counts && fgets(line, sizeof line, counts) && sscanf(line, "oom_kill %lld", &killed) != 1) continue;
        if (counts) fclose(counts);
    }
    return killed;
}
