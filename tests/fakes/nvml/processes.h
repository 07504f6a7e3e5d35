/* The processes on a GPU. */
#ifndef FAKE_NVML_PROCESSES_H
#define FAKE_NVML_PROCESSES_H

#include "fake.h"

/* Return the bytes that the computing processes on a GPU use together. */
uint64_t processes_memory(handle_t handle);

#endif
