/* How a call begins and ends, and what a handle means. */
#define _GNU_SOURCE
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HANDLES 0x4000000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int loaded, initialized;

handle_t handle_of(int gpu, int mig) {
    return (handle_t)(uintptr_t)(HANDLES + ((unsigned)gpu << 8) + (unsigned)(mig + 1));
}

int gpu_of(handle_t handle) {
    uintptr_t value = (uintptr_t)handle;
    int gpu = (int)((value >> 8) & 0xffff);
    return (value & 0xff000000u) == HANDLES && gpu < gpu_total() ? gpu : -1;
}

int mig_of(handle_t handle) {
    return (int)((uintptr_t)handle & 0xff) - 1;
}

int gpu_total(void) {
    return (int)state_number(state_get("gpus.#"), 0);
}

int may_open(const char *node) {
    if (!node) return 1;
    int descriptor = open(node, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor >= 0) {
        close(descriptor);
        return 1;
    }
    /* The cgroup refuses with EPERM; these two mean that it allows, and that no driver is behind the node. */
    return errno == ENXIO || errno == ENODEV;
}

int gpu_seen(int gpu) {
    return !state_true(state_get("gpus.%d.gone", gpu)) && may_open(state_get("gpus.%d.node", gpu));
}

int gpu_lost(int gpu) {
    return state_true(state_get("gpus.%d.lost", gpu)) || state_true(state_get("gpus.%d.gone", gpu));
}

int gpu_at(unsigned int index) {
    for (int gpu = 0; gpu < gpu_total(); gpu++)
        if (gpu_seen(gpu) && index-- == 0) return gpu;
    return -1;
}

const char *value_of(handle_t handle, const char *key) {
    int gpu = gpu_of(handle), mig = mig_of(handle);
    return mig < 0 ? state_get("gpus.%d.%s", gpu, key) : state_get("gpus.%d.mig_devices.%d.%s", gpu, mig, key);
}

static void write_log(const char *function) {
    const char *file = getenv("FAKE_NVML_LOG");
    char line[160];
    int descriptor = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (descriptor < 0) return;
    int length = snprintf(line, sizeof line, "%d %s\n", getpid(), function);
    if (write(descriptor, line, (size_t)length) != length) fprintf(stderr, "fake NVML: %s is full\n", file);
    close(descriptor);
}

/* Wait without the lock, as a call that hangs in the driver does. */
static void be_slow(uint64_t milliseconds) {
    if (!milliseconds) return;
    struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000L};
    pthread_mutex_unlock(&lock);
    nanosleep(&time, NULL);
    pthread_mutex_lock(&lock);
    loaded = state_load();
}

code_t leave(code_t code) {
    pthread_mutex_unlock(&lock);
    return code;
}

static void begin(const char *function) {
    pthread_mutex_lock(&lock);
    loaded = state_load();
    write_log(function);
    be_slow(state_number(state_get("delay_ms.%s", function), state_number(state_get("delay_ms.*"), 0)));
}

code_t enter(const char *function) {
    begin(function);
    code_t code = (code_t)state_number(state_get("errors.%s", function), OK);
    if (!loaded) code = DRIVER_NOT_LOADED;
    else if (initialized <= 0) code = UNINITIALIZED;
    return code == OK ? OK : leave(code);
}

code_t enter_on(const char *function, handle_t handle) {
    code_t code = enter(function);
    if (code != OK) return code;
    int gpu = gpu_of(handle);
    if (gpu < 0) return leave(INVALID_ARGUMENT);
    uint64_t always = state_number(state_get("gpus.%d.delay_ms.*", gpu), 0);
    be_slow(state_number(state_get("gpus.%d.delay_ms.%s", gpu, function), always));
    if (gpu_lost(gpu)) return leave(GPU_IS_LOST);
    uint64_t error = state_number(state_get("gpus.%d.errors.*", gpu), OK);
    code = (code_t)state_number(state_get("gpus.%d.errors.%s", gpu, function), error);
    return code == OK ? OK : leave(code);
}

code_t enter_init(const char *function) {
    begin(function);
    code_t code = (code_t)state_number(state_get("init_error"), OK);
    if (!loaded) code = DRIVER_NOT_LOADED;
    /* What the real library says when the cgroup keeps the control node from it. */
    else if (code == OK && !may_open(state_get("ctl_node"))) code = UNKNOWN;
    if (code == OK) initialized++;
    return leave(code);
}

API code_t nvmlShutdown(void) {
    BEGIN();
    initialized--;
    return leave(OK);
}

code_t give_uint(unsigned int *out, const char *text) {
    if (!out) return INVALID_ARGUMENT;
    if (!text || !strcmp(text, "null")) return NOT_SUPPORTED;
    *out = (unsigned int)state_number(text, 0);
    return OK;
}

code_t give_text(char *out, unsigned int room, const char *text) {
    if (!out) return INVALID_ARGUMENT;
    if (!text || !strcmp(text, "null")) return NOT_SUPPORTED;
    if (strlen(text) + 1 > room) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return OK;
}
