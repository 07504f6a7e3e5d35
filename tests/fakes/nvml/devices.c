/* GPUs: which there are, what they are, what they do. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "processes.h"

struct pci_info {
    char legacy_bus_id[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

struct memory {
    ull total, free, used;
};

struct memory_v2 {
    unsigned int version;
    ull total, reserved, free, used;
};

struct utilization {
    unsigned int gpu, memory;
};

struct temperature {
    unsigned int version, sensor;
    int value;
};

API code_t nvmlDeviceGetCount_v2(unsigned int *out) {
    BEGIN();
    *out = 0;
    for (int gpu = 0; gpu < gpu_total(); gpu++) *out += (unsigned)gpu_seen(gpu);
    return leave(OK);
}

/* Give the handle of a GPU, which a lost one has no more. */
static code_t give_handle(int gpu, handle_t *out) {
    if (gpu_lost(gpu)) return GPU_IS_LOST;
    *out = handle_of(gpu, -1);
    return OK;
}

API code_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, handle_t *out) {
    BEGIN();
    int gpu = gpu_at(index);
    return leave(gpu < 0 ? INVALID_ARGUMENT : give_handle(gpu, out));
}

API code_t nvmlDeviceGetHandleByUUID(const char *uuid, handle_t *out) {
    BEGIN();
    for (int gpu = 0; gpu < gpu_total(); gpu++) {
        const char *own = state_get("gpus.%d.uuid", gpu);
        if (!gpu_seen(gpu)) continue;
        if (own && !strcmp(own, uuid)) return leave(give_handle(gpu, out));
        int slices = state_true(state_get("gpus.%d.mig_enabled", gpu))
                         ? (int)state_number(state_get("gpus.%d.mig_devices.#", gpu), 0)
                         : 0;
        for (int mig = 0; mig < slices; mig++) {
            const char *slice = state_get("gpus.%d.mig_devices.%d.uuid", gpu, mig);
            if (!slice || strcmp(slice, uuid)) continue;
            *out = handle_of(gpu, mig);
            return leave(OK);
        }
    }
    return leave(NOT_FOUND);
}

API code_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, handle_t *out) {
    BEGIN();
    for (int gpu = 0; gpu < gpu_total(); gpu++) {
        const char *own = state_get("gpus.%d.pci", gpu);
        if (own && gpu_seen(gpu) && strcasestr(own, bus_id)) return leave(give_handle(gpu, out));
    }
    return leave(NOT_FOUND);
}

API code_t nvmlDeviceGetIndex(handle_t handle, unsigned int *out) {
    BEGIN_ON(handle);
    *out = 0;
    if (mig_of(handle) >= 0) *out = (unsigned)mig_of(handle);
    else
        for (int gpu = 0; gpu < gpu_of(handle); gpu++) *out += (unsigned)gpu_seen(gpu);
    return leave(OK);
}

API code_t nvmlDeviceGetMinorNumber(handle_t handle, unsigned int *out) {
    BEGIN_ON_WHOLE(handle);
    *out = (unsigned)state_number(value_of(handle, "minor"), (uint64_t)gpu_of(handle));
    return leave(OK);
}

API code_t nvmlDeviceGetUUID(handle_t handle, char *out, unsigned int room) {
    BEGIN_ON(handle);
    return leave(give_text(out, room, value_of(handle, "uuid")));
}

API code_t nvmlDeviceGetName(handle_t handle, char *out, unsigned int room) {
    BEGIN_ON(handle);
    const char *name = state_get("gpus.%d.name", gpu_of(handle)), *profile = value_of(handle, "profile");
    char of_slice[128];
    if (mig_of(handle) < 0) return leave(give_text(out, room, name));
    snprintf(of_slice, sizeof of_slice, "%s MIG %s", name, profile ? profile : "?");
    return leave(give_text(out, room, of_slice));
}

API code_t nvmlDeviceGetCudaComputeCapability(handle_t handle, int *major, int *minor) {
    BEGIN_ON(handle);
    const char *text = state_get("gpus.%d.compute_capability", gpu_of(handle));
    return leave(text && sscanf(text, "%d.%d", major, minor) == 2 ? OK : NOT_SUPPORTED);
}

API code_t nvmlDeviceGetPciInfo_v3(handle_t handle, struct pci_info *out) {
    BEGIN_ON(handle);
    const char *text = state_get("gpus.%d.pci", gpu_of(handle));
    memset(out, 0, sizeof *out);
    if (!text || sscanf(text, "%x:%x:%x", &out->domain, &out->bus, &out->device) != 3) return leave(NOT_SUPPORTED);
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus & 0xff, out->device & 0xff);
    snprintf(out->legacy_bus_id, sizeof out->legacy_bus_id, "%04X:%02X:%02X.0", out->domain & 0xffff, out->bus & 0xff,
             out->device & 0xff);
    return leave(OK);
}

/* Return the bytes in use: what the state says, or else what the processes on it use. */
static uint64_t memory_in_use(handle_t handle) {
    const char *told = value_of(handle, "memory_used");
    return told ? state_number(told, 0) : processes_memory(handle);
}

API code_t nvmlDeviceGetMemoryInfo(handle_t handle, struct memory *out) {
    BEGIN_ON(handle);
    if (!value_of(handle, "memory_total")) return leave(NOT_SUPPORTED);
    out->total = state_number(value_of(handle, "memory_total"), 0);
    out->used = memory_in_use(handle) + state_number(value_of(handle, "memory_reserved"), 0);
    out->free = out->total - out->used;
    return leave(OK);
}

API code_t nvmlDeviceGetMemoryInfo_v2(handle_t handle, struct memory_v2 *out) {
    BEGIN_ON(handle);
    if (out->version != (sizeof *out | 2u << 24)) return leave(ARGUMENT_VERSION_MISMATCH);
    if (!value_of(handle, "memory_total")) return leave(NOT_SUPPORTED);
    out->total = state_number(value_of(handle, "memory_total"), 0);
    out->reserved = state_number(value_of(handle, "memory_reserved"), 0);
    out->used = memory_in_use(handle);
    out->free = out->total - out->used - out->reserved;
    return leave(OK);
}

API code_t nvmlDeviceGetUtilizationRates(handle_t handle, struct utilization *out) {
    BEGIN_ON_WHOLE(handle);
    if (state_true(value_of(handle, "mig_enabled"))) return leave(NOT_SUPPORTED);
    code_t code = give_uint(&out->gpu, value_of(handle, "util_gpu"));
    return leave(code == OK ? give_uint(&out->memory, value_of(handle, "util_mem")) : code);
}

API code_t nvmlDeviceGetTemperature(handle_t handle, unsigned int sensor, unsigned int *out) {
    (void)sensor;
    BEGIN_ON(handle);
    return leave(give_uint(out, state_get("gpus.%d.temperature", gpu_of(handle))));
}

API code_t nvmlDeviceGetTemperatureV(handle_t handle, struct temperature *out) {
    BEGIN_ON(handle);
    if (out->version != (sizeof *out | 1u << 24)) return leave(ARGUMENT_VERSION_MISMATCH);
    return leave(give_uint((unsigned int *)&out->value, state_get("gpus.%d.temperature", gpu_of(handle))));
}

API code_t nvmlDeviceGetPowerUsage(handle_t handle, unsigned int *out) {
    BEGIN_ON_WHOLE(handle);
    return leave(give_uint(out, value_of(handle, "power_mw")));
}

API code_t nvmlDeviceGetEnforcedPowerLimit(handle_t handle, unsigned int *out) {
    BEGIN_ON_WHOLE(handle);
    return leave(give_uint(out, value_of(handle, "power_limit_mw")));
}
