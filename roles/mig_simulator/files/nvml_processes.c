/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The processes that use a GPU or a MIG device. Holders are on no list. */
#include "clients.h"
#include "handles.h"

enum { NO_INSTANCE = (int)0xffffffff };

/* The live clients of a device, at most MAX_CLIENTS, with their instances' ids. All of a GPU in MIG mode is for the
 * privileged only. */
static nvmlReturn_t list(nvmlDevice_t device, enum client_type type, nvmlProcessInfo_t *found, unsigned *count)
{
    DEVICE(d, device);
    if (!d.gpu_instance && d.gpu->mig_mode && !caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    *count = 0;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &host->clients[i];
        if (!client->pid || client->gpu != d.index || client->type != type ||
            (d.compute_instance && client->compute_instance != d.compute_instance->serial) || !client_alive(client))
            continue;
        nvmlProcessInfo_t *process = &found[(*count)++];
        *process = (nvmlProcessInfo_t){(unsigned)client->pid, (unsigned long long)client->memory_mib << 20,
                                       (unsigned)NO_INSTANCE, (unsigned)NO_INSTANCE};
        for (unsigned g = 0; client->compute_instance && g < MAX_GPU_INSTANCES; g++) {
            const struct gpu_instance *instance = &d.gpu->gpu_instances[g];
            for (unsigned c = 0; instance->used && c < MAX_COMPUTE_INSTANCES; c++)
                if (instance->compute_instances[c].serial == client->compute_instance) {
                    process->gpuInstanceId = instance->id;
                    process->computeInstanceId = instance->compute_instances[c].id;
                }
        }
    }
    return NVML_SUCCESS;
}

/* Whether `found` entries may be written: the two-call protocol of sizes. */
static nvmlReturn_t take_size(unsigned found, unsigned *count, const void *array)
{
    unsigned room = *count;
    *count = found;
    if (found > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    return found && !array ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}

static nvmlReturn_t processes(nvmlDevice_t device, enum client_type type, unsigned *count, nvmlProcessInfo_t *infos)
{
    nvmlProcessInfo_t found[MAX_CLIENTS];
    unsigned number;
    nvmlReturn_t answer = count ? list(device, type, found, &number) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        answer = take_size(number, count, infos);
    for (unsigned i = 0; answer == NVML_SUCCESS && i < number; i++)
        infos[i] = found[i];
    return answer;
}

static nvmlReturn_t processes_v1(nvmlDevice_t device, enum client_type type, unsigned *count,
                                 nvmlProcessInfo_v1_t *infos)
{
    nvmlProcessInfo_t found[MAX_CLIENTS];
    unsigned number;
    nvmlReturn_t answer = count ? list(device, type, found, &number) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        answer = take_size(number, count, infos);
    for (unsigned i = 0; answer == NVML_SUCCESS && i < number; i++)
        infos[i] = (nvmlProcessInfo_v1_t){found[i].pid, found[i].usedGpuMemory};
    return answer;
}

NVML(nvmlDeviceGetComputeRunningProcesses,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_v1_t *infos), (device, infoCount, infos))
{
    return processes_v1(device, COMPUTE_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetComputeRunningProcesses_v2,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, COMPUTE_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetComputeRunningProcesses_v3,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, COMPUTE_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetGraphicsRunningProcesses,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_v1_t *infos), (device, infoCount, infos))
{
    return processes_v1(device, GRAPHICS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetGraphicsRunningProcesses_v2,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, GRAPHICS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetGraphicsRunningProcesses_v3,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, GRAPHICS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetMPSComputeRunningProcesses,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_v1_t *infos), (device, infoCount, infos))
{
    return processes_v1(device, MPS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetMPSComputeRunningProcesses_v2,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, MPS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetMPSComputeRunningProcesses_v3,
     (nvmlDevice_t device, unsigned *infoCount, nvmlProcessInfo_t *infos), (device, infoCount, infos))
{
    return processes(device, MPS_CLIENT, infoCount, infos);
}

NVML(nvmlDeviceGetRunningProcessDetailList, (nvmlDevice_t device, nvmlProcessDetailList_v1_t *plist), (device, plist))
{
    nvmlProcessInfo_t found[MAX_CLIENTS];
    unsigned number;
    if (!plist || plist->mode > MPS_CLIENT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (plist->version != NVML_STRUCT_VERSION(ProcessDetailList, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t answer = list(device, (enum client_type)plist->mode, found, &number);
    if (answer == NVML_SUCCESS)
        answer = take_size(number, &plist->numProcArrayEntries, plist->procArray);
    for (unsigned i = 0; answer == NVML_SUCCESS && i < number; i++)
        plist->procArray[i] = (nvmlProcessDetail_v1_t){found[i].pid, found[i].usedGpuMemory, found[i].gpuInstanceId,
                                                       found[i].computeInstanceId, 0};
    return answer;
}
