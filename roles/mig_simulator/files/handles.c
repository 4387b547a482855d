/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "handles.h"

/* A handle: mark (16 bits), kind (8), GPU (8), serial of the instance (32). */
enum kind { GPU_HANDLE = 1, MIG_DEVICE_HANDLE, GPU_INSTANCE_HANDLE, COMPUTE_INSTANCE_HANDLE };

static const uint64_t mark = 0x6d69;

_Static_assert(sizeof(void *) == sizeof(uint64_t), "handles fill a 64-bit pointer");

static void *make(enum kind kind, unsigned gpu, uint32_t serial)
{
    return (void *)(uintptr_t)(mark << 48 | (uint64_t)kind << 40 | (uint64_t)gpu << 32 | serial);
}

static bool take(const void *handle, enum kind kind, const struct host *in, unsigned *gpu, uint32_t *serial)
{
    uint64_t bits = (uintptr_t)handle;
    *gpu = bits >> 32 & 0xff;
    *serial = (uint32_t)bits;
    return bits >> 40 == (mark << 8 | kind) && *gpu < in->gpu_count;
}

nvmlDevice_t gpu_handle(unsigned index)
{
    return make(GPU_HANDLE, index, 0);
}

nvmlDevice_t mig_device_handle(unsigned gpu, const struct compute_instance *compute_instance)
{
    return make(MIG_DEVICE_HANDLE, gpu, compute_instance->serial);
}

nvmlGpuInstance_t gpu_instance_handle(unsigned gpu, const struct gpu_instance *gpu_instance)
{
    return make(GPU_INSTANCE_HANDLE, gpu, gpu_instance->serial);
}

nvmlComputeInstance_t compute_instance_handle(unsigned gpu, const struct compute_instance *compute_instance)
{
    return make(COMPUTE_INSTANCE_HANDLE, gpu, compute_instance->serial);
}

nvmlReturn_t find_gpu_instance(const struct host *in, nvmlGpuInstance_t handle, struct position *position)
{
    uint32_t serial;
    if (!take(handle, GPU_INSTANCE_HANDLE, in, &position->gpu, &serial))
        return NVML_ERROR_INVALID_ARGUMENT;
    const struct gpu_instance *instances = in->gpus[position->gpu].gpu_instances;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (instances[i].used && instances[i].serial == serial) {
            position->gpu_instance = i;
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

static bool find_serial(const struct host *in, uint32_t serial, struct position *position)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        const struct gpu_instance *instance = &in->gpus[position->gpu].gpu_instances[i];
        for (unsigned c = 0; instance->used && c < MAX_COMPUTE_INSTANCES; c++)
            if (instance->compute_instances[c].used && instance->compute_instances[c].serial == serial) {
                position->gpu_instance = i;
                position->compute_instance = c;
                return true;
            }
    }
    return false;
}

nvmlReturn_t find_compute_instance(const struct host *in, nvmlComputeInstance_t handle, struct position *position)
{
    uint32_t serial;
    if (!take(handle, COMPUTE_INSTANCE_HANDLE, in, &position->gpu, &serial))
        return NVML_ERROR_INVALID_ARGUMENT;
    return find_serial(in, serial, position) ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}

bool find_device(nvmlDevice_t handle, struct device *device)
{
    struct position position;
    uint32_t serial;
    *device = (struct device){0};
    if (take(handle, MIG_DEVICE_HANDLE, host, &position.gpu, &serial)) {
        if (!find_serial(host, serial, &position))
            return false;
        device->gpu_instance = &host->gpus[position.gpu].gpu_instances[position.gpu_instance];
        device->compute_instance = &device->gpu_instance->compute_instances[position.compute_instance];
    } else if (!take(handle, GPU_HANDLE, host, &position.gpu, &serial) || serial) {
        return false;
    }
    device->index = position.gpu;
    device->gpu = &host->gpus[position.gpu];
    device->model = strange_model(device->gpu->model, device->gpu->strange);
    if (device->gpu_instance)
        device->profile = &device->model->profiles[device->gpu_instance->profile];
    return true;
}
