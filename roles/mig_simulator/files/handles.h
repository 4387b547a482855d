/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handles are numbers in the shape of pointers: nothing a caller hands in is ever followed. Each carries the serial of
 * its instance, so a handle to what was destroyed never means what came after. */
#ifndef HANDLES_H
#define HANDLES_H

#include "session.h"

nvmlDevice_t mig_device_handle(unsigned gpu, const struct compute_instance *compute_instance);
nvmlGpuInstance_t gpu_instance_handle(unsigned gpu, const struct gpu_instance *gpu_instance);
nvmlComputeInstance_t compute_instance_handle(unsigned gpu, const struct compute_instance *compute_instance);

/* What a GI or CI handle means in a host; NVML_ERROR_INVALID_ARGUMENT for no such handle, NVML_ERROR_NOT_FOUND for an
 * instance that is gone. Positions index gpus, gpu_instances and compute_instances. */
struct position {
    unsigned gpu, gpu_instance, compute_instance;
};
nvmlReturn_t find_gpu_instance(const struct host *in, nvmlGpuInstance_t handle, struct position *position);
nvmlReturn_t find_compute_instance(const struct host *in, nvmlComputeInstance_t handle, struct position *position);

#endif
