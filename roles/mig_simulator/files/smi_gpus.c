/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: which GPUs are meant, and what several of its pages ask of them. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

int smi_exit_status(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
    case NVML_ERROR_INVALID_ARGUMENT:
    case NVML_ERROR_NOT_SUPPORTED:
    case NVML_ERROR_NO_PERMISSION:
    case NVML_ERROR_NOT_FOUND:
    case NVML_ERROR_INSUFFICIENT_POWER:
    case NVML_ERROR_DRIVER_NOT_LOADED:
    case NVML_ERROR_IRQ_ISSUE:
    case NVML_ERROR_LIBRARY_NOT_FOUND:
    case NVML_ERROR_FUNCTION_NOT_FOUND:
    case NVML_ERROR_CORRUPTED_INFOROM:
    case NVML_ERROR_GPU_IS_LOST:
        return (int)result;
    default:
        return 255;
    }
}

static nvmlReturn_t find(const char *name, nvmlDevice_t *device)
{
    char *end;
    unsigned long index = strtoul(name, &end, 10);
    if (*name && !*end)
        return nvmlDeviceGetHandleByIndex_v2((unsigned int)index, device);
    if (strncmp(name, "GPU-", 4) == 0)
        return nvmlDeviceGetHandleByUUID(name, device);
    return nvmlDeviceGetHandleByPciBusId_v2(name, device);
}

int smi_select(const char *selection, smi_gpus *gpus)
{
    gpus->count = 0;
    if (!selection) {
        unsigned int count = 0;
        nvmlDeviceGetCount_v2(&count);
        for (unsigned int i = 0; i < count && gpus->count < SMI_MAX_GPUS; i++)
            if (nvmlDeviceGetHandleByIndex_v2(i, &gpus->devices[gpus->count]) == NVML_SUCCESS)
                gpus->count++;
    } else {
        char *names = strdup(selection), *rest = NULL;
        for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
            nvmlDevice_t device;
            nvmlReturn_t result = find(name, &device);
            if (result != NVML_SUCCESS || gpus->count == SMI_MAX_GPUS) {
                gpus->count = 0;
                break;
            }
            bool known = false;
            for (unsigned int i = 0; i < gpus->count; i++)
                known |= gpus->devices[i] == device;
            if (!known)
                gpus->devices[gpus->count++] = device;
        }
        free(names);
    }
    if (gpus->count)
        return 0;
    printf("No devices were found\n");
    return smi_exit_status(NVML_ERROR_NOT_FOUND);
}

unsigned int smi_index(nvmlDevice_t device)
{
    unsigned int index = 0;
    nvmlDeviceGetIndex(device, &index);
    return index;
}

const char *smi_bus_id(nvmlDevice_t device)
{
    static char bus_id[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE];
    nvmlPciInfo_t pci;
    memset(&pci, 0, sizeof(pci));
    nvmlDeviceGetPciInfo_v3(device, &pci);
    snprintf(bus_id, sizeof(bus_id), "%s", pci.busId);
    return bus_id;
}

nvmlReturn_t smi_memory(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    nvmlMemory_t older = {0, 0, 0};
    memset(memory, 0, sizeof(*memory));
    memory->version = NVML_STRUCT_VERSION(Memory, 2);
    nvmlReturn_t result = nvmlDeviceGetMemoryInfo_v2(device, memory);
    if (result == NVML_ERROR_FUNCTION_NOT_FOUND) { /* a driver before R510 */
        result = nvmlDeviceGetMemoryInfo(device, &older);
        memory->total = older.total, memory->used = older.used, memory->free = older.free;
    }
    return result;
}

bool smi_mig_enabled(nvmlDevice_t device)
{
    unsigned int current = 0, pending = 0;
    return nvmlDeviceGetMigMode(device, &current, &pending) == NVML_SUCCESS && current == NVML_DEVICE_MIG_ENABLE;
}

const char *smi_mig_profile(nvmlDevice_t mig_device)
{
    static char profile[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE] = "";
    nvmlDeviceGetName(mig_device, name, sizeof(name));
    const char *mig = strstr(name, "MIG ");
    snprintf(profile, sizeof(profile), "%s", mig ? mig + 4 : name);
    return profile;
}

void smi_process_name(unsigned int pid, char *name, size_t size)
{
    if (nvmlSystemGetProcessName(pid, name, (unsigned int)size) != NVML_SUCCESS)
        snprintf(name, size, "[Not Found]");
}

unsigned int smi_compute_processes(nvmlDevice_t device, nvmlProcessInfo_t *processes)
{
    unsigned int count = SMI_MAX_PROCESSES;
    nvmlReturn_t result = nvmlDeviceGetComputeRunningProcesses_v3(device, &count, processes);
    if (result == NVML_ERROR_FUNCTION_NOT_FOUND) { /* a driver before R510 */
        count = SMI_MAX_PROCESSES;
        result = nvmlDeviceGetComputeRunningProcesses_v2(device, &count, processes);
    }
    return result == NVML_SUCCESS ? count : 0;
}
