/* What all calls share: NVML's codes and handles, how a call begins and how it ends. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include <stdint.h>

#include "state.h"

#define API __attribute__((visibility("default")))

typedef int code_t;
typedef void *handle_t;
typedef unsigned long long ull;

enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999,
};

/* A handle is a number: which GPU, and which MIG device of it (-1: the GPU itself). */
handle_t handle_of(int gpu, int mig);
int gpu_of(handle_t handle);
int mig_of(handle_t handle);

int gpu_total(void);
int gpu_seen(int gpu);             /* whether this process may see it */
int gpu_lost(int gpu);
int gpu_at(unsigned int index);    /* the GPU at an index as NVML counts, or -1 */
int may_open(const char *node);    /* whether the kernel lets this process open a device node */

/* Return a value of the GPU or of the MIG device that the handle means. */
const char *value_of(handle_t handle, const char *key);

/* Begin a call: take the lock, read the state, write the log, be slow, fail. The lock is held when it returns OK. */
code_t enter(const char *function);
code_t enter_on(const char *function, handle_t handle);
code_t enter_init(const char *function);
code_t leave(code_t code);

/* Give a number or a text to the caller; a value that is not there is one that is not supported. */
code_t give_uint(unsigned int *out, const char *text);
code_t give_text(char *out, unsigned int room, const char *text);

/* First line of a call; on a handle; on the handle of a whole GPU only. */
#define BEGIN()                                \
    do {                                       \
        code_t code_ = enter(__func__);        \
        if (code_ != OK) return code_;         \
    } while (0)
#define BEGIN_ON(handle)                              \
    do {                                              \
        code_t code_ = enter_on(__func__, handle);    \
        if (code_ != OK) return code_;                \
    } while (0)
#define BEGIN_ON_WHOLE(handle)                               \
    do {                                                     \
        BEGIN_ON(handle);                                    \
        if (mig_of(handle) >= 0) return leave(NOT_SUPPORTED); \
    } while (0)

#endif
