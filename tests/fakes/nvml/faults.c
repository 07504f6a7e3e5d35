/* What goes wrong: critical errors (Xid) as events, errors of the memory, heat, and what the driver asks for. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define TIMEOUT 10
#define XID_EVENT 8u
#define MOST_GPUS 64

struct event_set {
    uint64_t seen; /* the highest number of an event that was given */
    ull wanted[MOST_GPUS];
};

struct event {
    handle_t device;
    ull type, data;
    unsigned int gpu_instance, compute_instance;
};

struct field_value {
    unsigned int field, scope;
    long long timestamp, latency;
    int type;
    code_t code;
    union {
        double as_double;
        unsigned int as_uint;
        ull as_ull;
    } value;
};

static uint64_t number_of_event(int event) {
    return state_number(state_get("xids.%d.seq", event), (uint64_t)event + 1);
}

API code_t nvmlEventSetCreate(struct event_set **out) {
    BEGIN();
    struct event_set *set = calloc(1, sizeof *set);
    int count = (int)state_number(state_get("xids.#"), 0);
    for (int i = 0; i < count; i++)
        if (number_of_event(i) > set->seen) set->seen = number_of_event(i);
    *out = set;
    return leave(OK);
}

API code_t nvmlEventSetFree(struct event_set *set) {
    BEGIN();
    free(set);
    return leave(OK);
}

API code_t nvmlDeviceGetSupportedEventTypes(handle_t handle, ull *out) {
    BEGIN_ON(handle);
    *out = XID_EVENT;
    return leave(OK);
}

API code_t nvmlDeviceRegisterEvents(handle_t handle, ull types, struct event_set *set) {
    BEGIN_ON(handle);
    if (state_true(state_get("no_events"))) return leave(NOT_SUPPORTED);
    if (gpu_of(handle) < MOST_GPUS) set->wanted[gpu_of(handle)] |= types;
    return leave(OK);
}

/* It never waits: nobody who uses this library asks it to. */
API code_t nvmlEventSetWait_v2(struct event_set *set, struct event *out, unsigned int milliseconds) {
    (void)milliseconds;
    BEGIN();
    int count = (int)state_number(state_get("xids.#"), 0);
    for (int i = 0; i < count; i++) {
        int gpu = (int)state_number(state_get("xids.%d.gpu", i), 0);
        if (number_of_event(i) <= set->seen) continue;
        set->seen = number_of_event(i);
        if (gpu >= MOST_GPUS || !(set->wanted[gpu] & XID_EVENT)) continue;
        *out = (struct event){handle_of(gpu, -1), XID_EVENT, state_number(state_get("xids.%d.code", i), 0), ~0u, ~0u};
        return leave(OK);
    }
    return leave(TIMEOUT);
}

API code_t nvmlDeviceGetTotalEccErrors(handle_t handle, int type, int counter, ull *out) {
    BEGIN_ON_WHOLE(handle);
    const char *told = value_of(handle, type == 1 && counter == 0 ? "ecc_uncorrected" : "ecc_other");
    if (!told) return leave(NOT_SUPPORTED);
    *out = state_number(told, 0);
    return leave(OK);
}

API code_t nvmlDeviceGetRemappedRows(handle_t handle, unsigned int *corrected, unsigned int *uncorrected,
                                     unsigned int *pending, unsigned int *failed) {
    BEGIN_ON_WHOLE(handle);
    if (!value_of(handle, "remap_pending") && !value_of(handle, "remap_failed")) return leave(NOT_SUPPORTED);
    *corrected = *uncorrected = 0;
    *pending = (unsigned)state_true(value_of(handle, "remap_pending"));
    *failed = (unsigned)state_true(value_of(handle, "remap_failed"));
    return leave(OK);
}

API code_t nvmlDeviceGetCurrentClocksEventReasons(handle_t handle, ull *out) {
    BEGIN_ON_WHOLE(handle);
    const char *told = value_of(handle, "clock_reasons");
    if (!told) return leave(NOT_SUPPORTED);
    *out = state_number(told, 0);
    return leave(OK);
}

API code_t nvmlDeviceGetFieldValues(handle_t handle, int count, struct field_value *values) {
    BEGIN_ON_WHOLE(handle);
    for (int i = 0; i < count; i++) {
        const char *told = values[i].field == 230 ? value_of(handle, "recovery_action") : NULL;
        values[i].code = told ? OK : NOT_SUPPORTED;
        memset(&values[i].value, 0, sizeof values[i].value);
        if (told) values[i].value.as_uint = (unsigned)state_number(told, 0);
    }
    return leave(OK);
}
