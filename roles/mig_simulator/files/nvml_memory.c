/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory of GPUs and MIG devices. That of a GPU instance is shared by all its MIG devices; a GPU with MIG shows the
 * sum. */
#include "clients.h"
#include "sensors.h"
#include "session.h"

enum { INSTANCE_MIB = 12 }; /* what the driver itself uses of each GPU instance */

/* Whether a client runs in the GPU instance. */
static bool in_instance(const struct client *client, const struct gpu_instance *instance)
{
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++)
        if (instance->compute_instances[c].used && instance->compute_instances[c].serial == client->compute_instance)
            return true;
    return false;
}

/* MiB in use by the live processes, and by the driver for what they run in. */
static unsigned long long used_mib(const struct device *d)
{
    unsigned long long used = 0;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &host->clients[i];
        if (client->pid && client->gpu == d->index && (!d->gpu_instance || in_instance(client, d->gpu_instance)) &&
            client_alive(client))
            used += client->memory_mib;
    }
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (d->gpu_instance ? d->gpu_instance == &d->gpu->gpu_instances[i] : d->gpu->gpu_instances[i].used)
            used += INSTANCE_MIB;
    return used;
}

/* The whole, what the driver keeps of it for itself, and what is in use. */
static nvmlMemory_v2_t memory_of(const struct device *d)
{
    unsigned long long total = device_memory(d);
    unsigned long long reserved = d->gpu_instance ? 0 : total / 64, used = used_mib(d);
    if (used > total - reserved)
        used = total - reserved;
    return (nvmlMemory_v2_t){NVML_STRUCT_VERSION(Memory, 2), total << 20, reserved << 20,
                             (total - reserved - used) << 20, used << 20};
}

/* The older struct counts what is reserved as used. */
NVML(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t *memory), (device, memory))
{
    DEVICE(d, device);
    if (!memory)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlMemory_v2_t info = memory_of(&d);
    *memory = (nvmlMemory_t){info.total, info.free, info.used + info.reserved};
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t *memory), (device, memory))
{
    DEVICE(d, device);
    if (!memory)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (memory->version != NVML_STRUCT_VERSION(Memory, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    *memory = memory_of(&d);
    return NVML_SUCCESS;
}

/* The BAR1 of a GPU instance, which all its MIG devices see, is its share of the GPU's. R580 shares out what Hopper and
 * Blackwell have beyond their memory: 6185 MiB a slice on an H100, 14809 on an H200, 8327 on an RTX PRO 6000 (seen),
 * which this is within half a percent of. */
NVML(nvmlDeviceGetBAR1MemoryInfo, (nvmlDevice_t device, nvmlBAR1Memory_t *bar1Memory), (device, bar1Memory))
{
    DEVICE(d, device);
    if (!bar1Memory)
        return NVML_ERROR_INVALID_ARGUMENT;
    unsigned long long total = d.model->board.bar1_mib, used = 1;
    if (d.gpu_instance) {
        if (host->driver_branch >= 580 && d.model->architecture >= HOPPER && total > d.model->memory_mib)
            total -= d.model->memory_mib;
        total = total * d.profile->size / d.model->memory_slices - 1;
        used = 0;
    }
    *bar1Memory = (nvmlBAR1Memory_t){total << 20, (total - used) << 20, used << 20};
    return NVML_SUCCESS;
}
