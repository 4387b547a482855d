/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * read_everything [ROUNDS]: ask NVML for all there is about GPUs, instances, MIG devices and processes, and print how
 * many calls a round took and the CPU time of the quickest one. Fails where an answer contradicts another. */
#include "nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 32 };

static unsigned calls;

#define CALL(call) (calls++, (call))
#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        nvmlReturn_t code = CALL(call);                                                                                \
        if (code != NVML_SUCCESS) {                                                                                    \
            fprintf(stderr, "%s: %s\n", #call, nvmlErrorString(code));                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition);                                      \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void read_processes(nvmlDevice_t device)
{
    nvmlProcessInfo_t processes[MOST];
    unsigned count = MOST;
    NEED(nvmlDeviceGetComputeRunningProcesses_v3(device, &count, processes));
    count = MOST;
    NEED(nvmlDeviceGetGraphicsRunningProcesses_v3(device, &count, processes));
    count = MOST;
    NEED(nvmlDeviceGetMPSComputeRunningProcesses_v3(device, &count, processes));
}

static unsigned read_mig_devices(nvmlDevice_t gpu)
{
    unsigned most, index, id, found = 0;
    NEED(nvmlDeviceGetMaxMigDeviceCount(gpu, &most));
    for (unsigned i = 0; i < most; i++) {
        nvmlDevice_t device, parent, again;
        nvmlDeviceAttributes_t attributes;
        char text[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
        nvmlReturn_t code = CALL(nvmlDeviceGetMigDeviceHandleByIndex(gpu, i, &device));
        HOLDS(code == NVML_SUCCESS || code == NVML_ERROR_NOT_FOUND);
        if (code == NVML_ERROR_NOT_FOUND)
            continue;
        found++;
        NEED(nvmlDeviceGetUUID(device, text, sizeof text));
        NEED(nvmlDeviceGetHandleByUUID(text, &again));
        HOLDS(device == again);
        NEED(nvmlDeviceGetName(device, text, sizeof text));
        HOLDS(strstr(text, " MIG "));
        NEED(nvmlDeviceGetGpuInstanceId(device, &id));
        NEED(nvmlDeviceGetComputeInstanceId(device, &id));
        NEED(nvmlDeviceGetIndex(device, &index));
        HOLDS(index == i);
        NEED(nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device, &parent));
        HOLDS(parent == gpu);
        NEED(nvmlDeviceGetAttributes_v2(device, &attributes));
        read_processes(device);
    }
    return found;
}

static unsigned read_compute_instances(nvmlGpuInstance_t instance)
{
    unsigned found = 0;
    for (unsigned profile = 0; profile < NVML_COMPUTE_INSTANCE_PROFILE_COUNT - 1; profile++) {
        nvmlComputeInstanceProfileInfo_v2_t info = {.version = NVML_STRUCT_VERSION(ComputeInstanceProfileInfo, 2)};
        nvmlComputeInstancePlacement_t placements[MOST];
        nvmlComputeInstance_t instances[MOST];
        unsigned count = MOST;
        nvmlReturn_t code = CALL(nvmlGpuInstanceGetComputeInstanceProfileInfoV(instance, profile, 0, &info));
        HOLDS(code == NVML_SUCCESS || code == NVML_ERROR_NOT_SUPPORTED);
        if (code != NVML_SUCCESS)
            continue;
        NEED(nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance, info.id, placements, &count));
        NEED(nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, info.id, &count));
        NEED(nvmlGpuInstanceGetComputeInstances(instance, info.id, instances, &count));
        for (unsigned i = 0; i < count; i++) {
            nvmlComputeInstanceInfo_t compute;
            NEED(nvmlComputeInstanceGetInfo_v2(instances[i], &compute));
            HOLDS(compute.profileId == info.id && compute.gpuInstance == instance);
            found++;
        }
    }
    return found;
}

static unsigned read_gpu_instances(nvmlDevice_t gpu)
{
    unsigned found = 0;
    for (unsigned profile = 0; profile < NVML_GPU_INSTANCE_PROFILE_COUNT; profile++) {
        nvmlGpuInstanceProfileInfo_v2_t info = {.version = NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2)};
        nvmlGpuInstancePlacement_t placements[MOST];
        nvmlGpuInstance_t instances[MOST];
        unsigned count = MOST;
        nvmlReturn_t code = CALL(nvmlDeviceGetGpuInstanceProfileInfoV(gpu, profile, &info));
        HOLDS(code == NVML_SUCCESS || code == NVML_ERROR_NOT_SUPPORTED);
        if (code != NVML_SUCCESS)
            continue;
        NEED(nvmlDeviceGetGpuInstancePossiblePlacements_v2(gpu, info.id, placements, &count));
        NEED(nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, info.id, &count));
        NEED(nvmlDeviceGetGpuInstances(gpu, info.id, instances, &count));
        for (unsigned i = 0; i < count; i++) {
            nvmlGpuInstanceInfo_t instance;
            NEED(nvmlGpuInstanceGetInfo(instances[i], &instance));
            HOLDS(instance.profileId == info.id && instance.device == gpu);
            found += read_compute_instances(instances[i]);
        }
    }
    return found;
}

static unsigned read_gpu(unsigned index)
{
    nvmlDevice_t gpu;
    nvmlPciInfo_t pci;
    unsigned current, pending, minor;
    char text[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
    NEED(nvmlDeviceGetHandleByIndex_v2(index, &gpu));
    NEED(nvmlDeviceGetName(gpu, text, sizeof text));
    NEED(nvmlDeviceGetUUID(gpu, text, sizeof text));
    NEED(nvmlDeviceGetSerial(gpu, text, sizeof text));
    NEED(nvmlDeviceGetMinorNumber(gpu, &minor));
    NEED(nvmlDeviceGetPciInfo_v3(gpu, &pci));
    if (CALL(nvmlDeviceGetMigMode(gpu, &current, &pending)) != NVML_SUCCESS || !current)
        return 0;
    read_processes(gpu);
    unsigned devices = read_mig_devices(gpu);
    HOLDS(read_gpu_instances(gpu) == devices);
    return devices;
}

static unsigned read_host(void)
{
    unsigned count, devices = 0;
    char text[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE];
    NEED(nvmlSystemGetDriverVersion(text, sizeof text));
    NEED(nvmlSystemGetNVMLVersion(text, sizeof text));
    NEED(nvmlDeviceGetCount_v2(&count));
    for (unsigned i = 0; i < count; i++)
        devices += read_gpu(i);
    return devices;
}

static double cpu_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    double least = 1e9;
    unsigned devices = 0;
    for (int i = 0; i < rounds; i++) {
        double begin = cpu_milliseconds();
        calls = 0;
        NEED(nvmlInit_v2());
        devices = read_host();
        NEED(nvmlShutdown());
        double taken = cpu_milliseconds() - begin;
        least = taken < least ? taken : least;
    }
    printf("%u MIG devices, %u calls, %.3f ms of CPU\n", devices, calls, least);
    return 0;
}
