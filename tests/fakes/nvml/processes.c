/* The processes on a GPU: those that the state names, and those that really hold its scan node open. */
#define _GNU_SOURCE
#include "processes.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 1024
#define NOT_KNOWN ~0ULL
#define NO_INSTANCE 0xffffffffu
#define MEMORY "FAKE_GPU_MEMORY_MB="

struct process {
    unsigned int pid;
    ull used;
    unsigned int gpu_instance, compute_instance;
};

static int same_text(const char *a, const char *b) {
    return a && !strcmp(a, b);
}

static unsigned int from_state(handle_t handle, const char *type, struct process *out) {
    unsigned int found = 0;
    int gpu = gpu_of(handle), count = (int)state_number(state_get("gpus.%d.processes.#", gpu), 0);
    for (int i = 0; i < count && found < MOST; i++) {
        const char *own = state_get("gpus.%d.processes.%d.type", gpu, i);
        struct process process = {
            .pid = (unsigned)state_number(state_get("gpus.%d.processes.%d.pid", gpu, i), 0),
            .used = state_number(state_get("gpus.%d.processes.%d.used", gpu, i), NOT_KNOWN),
            .gpu_instance = (unsigned)state_number(state_get("gpus.%d.processes.%d.gi", gpu, i), NO_INSTANCE),
            .compute_instance = (unsigned)state_number(state_get("gpus.%d.processes.%d.ci", gpu, i), NO_INSTANCE),
        };
        if (!same_text(own ? own : "C", type)) continue;
        if (mig_of(handle) >= 0 && process.gpu_instance != state_number(value_of(handle, "gi"), 0)) continue;
        out[found++] = process;
    }
    return found;
}

static int holds_open(const char *pid, dev_t device) {
    char path[600];
    struct stat file;
    int held = 0;
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *directory = opendir(path);
    if (!directory) return 0;
    for (struct dirent *entry; !held && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
        held = !stat(path, &file) && S_ISCHR(file.st_mode) && file.st_rdev == device;
    }
    closedir(directory);
    return held;
}

/* Return the bytes that a process says it uses, in its environment. */
static ull memory_of(const char *pid) {
    char path[64], text[65536];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    ssize_t length = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    text[length > 0 ? length : 0] = 0;
    for (char *line = text; line < text + length; line += strlen(line) + 1)
        if (!strncmp(line, MEMORY, strlen(MEMORY))) return strtoull(line + strlen(MEMORY), NULL, 10) << 20;
    return 0;
}

static unsigned int from_open_files(handle_t handle, struct process *out, unsigned int room) {
    const char *node = value_of(handle, "scan_node");
    struct stat file;
    unsigned int found = 0;
    if (!node || stat(node, &file) || !S_ISCHR(file.st_mode)) return 0;
    DIR *directory = opendir("/proc");
    if (!directory) return 0;
    for (struct dirent *entry; found < room && (entry = readdir(directory));)
        if (isdigit((unsigned char)entry->d_name[0]) && holds_open(entry->d_name, file.st_rdev))
            out[found++] = (struct process){(unsigned)atoi(entry->d_name), memory_of(entry->d_name), NO_INSTANCE, NO_INSTANCE};
    closedir(directory);
    return found;
}

static unsigned int collect(handle_t handle, const char *type, struct process *out) {
    unsigned int found = from_state(handle, type, out);
    return same_text("C", type) ? found + from_open_files(handle, out + found, MOST - found) : found;
}

uint64_t processes_memory(handle_t handle) {
    struct process found[MOST];
    unsigned int count = collect(handle, "C", found);
    uint64_t total = 0;
    for (unsigned int i = 0; i < count; i++) total += found[i].used == NOT_KNOWN ? 0 : found[i].used;
    return total;
}

/* With too little room the answer is how many there are: callers ask twice. */
static code_t give(handle_t handle, const char *type, unsigned int *count, struct process *out) {
    struct process found[MOST];
    unsigned int room = *count;
    *count = collect(handle, type, found);
    if (*count > room) return INSUFFICIENT_SIZE;
    if (*count) memcpy(out, found, *count * sizeof *found);
    return OK;
}

API code_t nvmlDeviceGetComputeRunningProcesses_v3(handle_t handle, unsigned int *count, struct process *out) {
    BEGIN_ON(handle);
    return leave(give(handle, "C", count, out));
}

API code_t nvmlDeviceGetGraphicsRunningProcesses_v3(handle_t handle, unsigned int *count, struct process *out) {
    BEGIN_ON(handle);
    return leave(give(handle, "G", count, out));
}

API code_t nvmlDeviceGetMPSComputeRunningProcesses_v3(handle_t handle, unsigned int *count, struct process *out) {
    BEGIN_ON(handle);
    return leave(give(handle, "M", count, out));
}
