/* MIG: GPUs that are cut into devices of their own. */
#include <string.h>

#include "fake.h"

struct attributes {
    unsigned int multiprocessors, copy_engines, decoders, encoders, jpeg_engines, ofa_engines;
    unsigned int gpu_slices, compute_slices;
    ull memory_mb;
};

API code_t nvmlDeviceGetMigMode(handle_t handle, unsigned int *current, unsigned int *pending) {
    BEGIN_ON_WHOLE(handle);
    const char *enabled = value_of(handle, "mig_enabled");
    if (!enabled) return leave(NOT_SUPPORTED);
    *current = *pending = (unsigned)state_true(enabled);
    return leave(OK);
}

API code_t nvmlDeviceGetMaxMigDeviceCount(handle_t handle, unsigned int *out) {
    BEGIN_ON_WHOLE(handle);
    *out = value_of(handle, "mig_enabled") ? (unsigned)state_number(value_of(handle, "mig_max"), 7) : 0;
    return leave(OK);
}

API code_t nvmlDeviceGetMigDeviceHandleByIndex(handle_t handle, unsigned int index, handle_t *out) {
    BEGIN_ON_WHOLE(handle);
    const char *enabled = value_of(handle, "mig_enabled");
    if (!enabled) return leave(NOT_SUPPORTED);
    if (!state_true(enabled) || index >= state_number(value_of(handle, "mig_devices.#"), 0)) return leave(NOT_FOUND);
    *out = handle_of(gpu_of(handle), (int)index);
    return leave(OK);
}

API code_t nvmlDeviceIsMigDeviceHandle(handle_t handle, unsigned int *out) {
    BEGIN_ON(handle);
    *out = mig_of(handle) >= 0;
    return leave(OK);
}

API code_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle_t handle, handle_t *out) {
    BEGIN_ON(handle);
    if (mig_of(handle) < 0) return leave(INVALID_ARGUMENT);
    *out = handle_of(gpu_of(handle), -1);
    return leave(OK);
}

API code_t nvmlDeviceGetGpuInstanceId(handle_t handle, unsigned int *out) {
    BEGIN_ON(handle);
    return leave(mig_of(handle) < 0 ? NOT_SUPPORTED : give_uint(out, value_of(handle, "gi")));
}

API code_t nvmlDeviceGetComputeInstanceId(handle_t handle, unsigned int *out) {
    BEGIN_ON(handle);
    return leave(mig_of(handle) < 0 ? NOT_SUPPORTED : give_uint(out, value_of(handle, "ci")));
}

API code_t nvmlDeviceGetAttributes_v2(handle_t handle, struct attributes *out) {
    BEGIN_ON(handle);
    if (mig_of(handle) < 0) return leave(NOT_SUPPORTED);
    memset(out, 0, sizeof *out);
    out->multiprocessors = (unsigned)state_number(value_of(handle, "sm"), 16);
    out->gpu_slices = out->compute_slices = (unsigned)state_number(value_of(handle, "slices"), 1);
    out->memory_mb = state_number(value_of(handle, "memory_total"), 0) >> 20;
    return leave(OK);
}
