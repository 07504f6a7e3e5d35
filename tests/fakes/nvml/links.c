/* How GPUs are joined: by NVLink, as the state says ("nvlinks": a bus address for each link, of a GPU or a switch). */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "fake.h"

#define P2P_OK 0
#define P2P_NOT_SUPPORTED 5
#define P2P_INDEX_NVLINK 2

struct pci_info {
    char legacy_bus_id[16];
    unsigned int domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

static int link_count(int gpu) {
    return (int)state_number(state_get("gpus.%d.nvlinks.#", gpu), 0);
}

/* Tell whether two GPUs have a link to each other, or to the same switch. */
static int joined(int one, int other) {
    const char *place = state_get("gpus.%d.pci", other);
    for (int i = 0; i < link_count(one); i++) {
        const char *end = state_get("gpus.%d.nvlinks.%d", one, i);
        if (!end) continue;
        if (place && !strcasecmp(end, place)) return 1;
        for (int k = 0; k < link_count(other); k++) {
            const char *theirs = state_get("gpus.%d.nvlinks.%d", other, k);
            if (theirs && !strcasecmp(end, theirs)) return 1;
        }
    }
    return 0;
}

API code_t nvmlDeviceGetP2PStatus(handle_t one, handle_t other, int index, int *out) {
    BEGIN_ON_WHOLE(one);
    if (gpu_of(other) < 0) return leave(INVALID_ARGUMENT);
    if (state_true(state_get("no_p2p"))) return leave(NOT_SUPPORTED);
    *out = index == P2P_INDEX_NVLINK && joined(gpu_of(one), gpu_of(other)) ? P2P_OK : P2P_NOT_SUPPORTED;
    return leave(OK);
}

API code_t nvmlDeviceGetNvLinkState(handle_t handle, unsigned int link, unsigned int *out) {
    BEGIN_ON_WHOLE(handle);
    int count = link_count(gpu_of(handle));
    if (!count) return leave(NOT_SUPPORTED);
    if ((int)link >= count) return leave(INVALID_ARGUMENT);
    *out = state_true(state_get("gpus.%d.nvlinks.%d", gpu_of(handle), (int)link));
    return leave(OK);
}

API code_t nvmlDeviceGetNvLinkRemotePciInfo_v2(handle_t handle, unsigned int link, struct pci_info *out) {
    BEGIN_ON_WHOLE(handle);
    const char *end = state_get("gpus.%d.nvlinks.%d", gpu_of(handle), (int)link);
    memset(out, 0, sizeof *out);
    if (!end || sscanf(end, "%x:%x:%x", &out->domain, &out->bus, &out->device) != 3) return leave(NOT_SUPPORTED);
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus & 0xff, out->device & 0xff);
    return leave(OK);
}
