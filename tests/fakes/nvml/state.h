/* The state of the pretended hardware: a JSON file, flattened to path -> text ("gpus.0.uuid" -> "GPU-..."). */
#ifndef FAKE_NVML_STATE_H
#define FAKE_NVML_STATE_H

#include <stdint.h>

/* Read the file again when it has changed; return whether there is one that can be read. */
int state_load(void);

/* Return the text at a path, or NULL. Lists have their length at "<path>.#". */
const char *state_get(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Read a text as a number; `otherwise` for NULL and null. */
uint64_t state_number(const char *text, uint64_t otherwise);

/* Read a text as yes or no: NULL, false, 0 and null are no. */
int state_true(const char *text);

#endif
