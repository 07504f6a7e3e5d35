/* The library itself: start, versions, what the codes are called. */
#include <stddef.h>

#include "fake.h"

API code_t nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    return enter_init(__func__);
}

API code_t nvmlInit_v2(void) {
    return enter_init(__func__);
}

API const char *nvmlErrorString(code_t code) {
    static const struct {
        code_t code;
        const char *text;
    } texts[] = {
        {OK, "Success"},
        {UNINITIALIZED, "Uninitialized"},
        {INVALID_ARGUMENT, "Invalid Argument"},
        {NOT_SUPPORTED, "Not Supported"},
        {NOT_FOUND, "Not Found"},
        {INSUFFICIENT_SIZE, "Insufficient Size"},
        {DRIVER_NOT_LOADED, "Driver Not Loaded"},
        {GPU_IS_LOST, "GPU is lost"},
        {ARGUMENT_VERSION_MISMATCH, "Argument version mismatch"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].code == code) return texts[i].text;
    return "Unknown Error";
}

API code_t nvmlSystemGetDriverVersion(char *out, unsigned int room) {
    BEGIN();
    return leave(give_text(out, room, state_get("driver_version")));
}

API code_t nvmlSystemGetNVMLVersion(char *out, unsigned int room) {
    BEGIN();
    return leave(give_text(out, room, state_get("nvml_version")));
}

API code_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    BEGIN();
    *out = (int)state_number(state_get("cuda_version"), 13000);
    return leave(OK);
}
