/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: creating and destroying instances with "nvidia-smi mig". The first failure ends the command;
 * what was done before it stays. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

static int failed(const char *what, nvmlReturn_t result)
{
    printf("Failed to %s: %s\n", what, nvmlErrorString(result));
    return smi_exit_status(result);
}

/* One of the comma-separated requests of -cgi and -cci: a profile, by id or name, and perhaps a start slice. */
struct request {
    char profile[SMI_TEXT];
    bool placed;
    unsigned int start;
};

/* The request at `*list`, which moves on to the next; false at the end. */
static bool next_request(const char **list, struct request *request)
{
    size_t length = strcspn(*list, ",");
    if (!length)
        return false;
    snprintf(request->profile, sizeof(request->profile), "%.*s", (int)length, *list);
    *list += length + ((*list)[length] == ',');
    char *colon = strchr(request->profile, ':');
    request->placed = colon != NULL;
    if (colon) {
        *colon = '\0';
        request->start = (unsigned int)strtoul(colon + 1, NULL, 10);
    }
    return true;
}

static const smi_profile *find_profile(const char *wanted, const smi_profile *profiles, unsigned int count)
{
    char *end;
    unsigned long id = strtoul(wanted, &end, 10);
    for (unsigned int p = 0; p < count; p++)
        if (*end ? strcmp(profiles[p].name, wanted) == 0 || strcmp(profiles[p].name + 4, wanted) == 0
                 : profiles[p].id == id)
            return &profiles[p];
    return NULL;
}

/* Sets `placement` to the possible one that begins at the requested slice. */
static nvmlReturn_t choose(const struct request *request, const nvmlGpuInstancePlacement_t *possible,
                           unsigned int count, nvmlGpuInstancePlacement_t *placement)
{
    for (unsigned int i = 0; i < count; i++) {
        if (possible[i].start == request->start) {
            *placement = possible[i];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

static nvmlReturn_t create_compute_instance(unsigned int gpu, const smi_gpu_instance *parent,
                                            const struct request *request)
{
    smi_profile profiles[NVML_COMPUTE_INSTANCE_PROFILE_COUNT];
    unsigned int count, found = SMI_MAX_INSTANCES;
    const smi_profile *profile = NULL;
    nvmlComputeInstancePlacement_t possible[SMI_MAX_INSTANCES], placement;
    nvmlComputeInstance_t handle;
    nvmlComputeInstanceInfo_t info;

    nvmlReturn_t result = smi_compute_instance_profiles(parent, profiles, &count);
    if (request)
        profile = find_profile(request->profile, profiles, count);
    for (unsigned int p = 0; p < count && !request; p++)
        if (profiles[p].spans)
            profile = &profiles[p];
    if (result == NVML_SUCCESS && !profile)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && request && request->placed) {
        result = nvmlGpuInstanceGetComputeInstancePossiblePlacements(parent->handle, profile->id, possible, &found);
        if (result == NVML_SUCCESS)
            result = choose(request, possible, found, &placement);
        if (result == NVML_SUCCESS)
            result = nvmlGpuInstanceCreateComputeInstanceWithPlacement(parent->handle, profile->id, &placement,
                                                                       &handle);
    } else if (result == NVML_SUCCESS) {
        result = nvmlGpuInstanceCreateComputeInstance(parent->handle, profile->id, &handle);
    }
    if (result != NVML_SUCCESS) {
        printf("Unable to create a compute instance on GPU %2u GPU instance ID %2u using profile %s: %s\n", gpu,
               parent->info.id, request ? request->profile : parent->profile.name, nvmlErrorString(result));
        return result;
    }
    memset(&info, 0, sizeof(info));
    nvmlComputeInstanceGetInfo_v2(handle, &info);
    printf("Successfully created compute instance ID %2u on GPU %2u GPU instance ID %2u using profile %s (ID %2u)\n",
           info.id, gpu, parent->info.id, profile->name, profile->id);
    return NVML_SUCCESS;
}

static nvmlReturn_t create_gpu_instance(nvmlDevice_t device, const struct request *request, smi_gpu_instance *created)
{
    smi_profile profiles[NVML_GPU_INSTANCE_PROFILE_COUNT];
    unsigned int count, found = SMI_MAX_INSTANCES;
    nvmlGpuInstancePlacement_t possible[SMI_MAX_INSTANCES], placement;

    nvmlReturn_t result = smi_gpu_instance_profiles(device, profiles, &count);
    const smi_profile *profile = find_profile(request->profile, profiles, count);
    if (result == NVML_SUCCESS && !profile)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && request->placed) {
        result = nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profile->id, possible, &found);
        if (result == NVML_SUCCESS)
            result = choose(request, possible, found, &placement);
        if (result == NVML_SUCCESS)
            result = nvmlDeviceCreateGpuInstanceWithPlacement(device, profile->id, &placement, &created->handle);
    } else if (result == NVML_SUCCESS) {
        result = nvmlDeviceCreateGpuInstance(device, profile->id, &created->handle);
    }
    if (result != NVML_SUCCESS) {
        printf("Unable to create a GPU instance on GPU %2u using profile %s: %s\n", smi_index(device),
               request->profile, nvmlErrorString(result));
        return result;
    }
    created->profile = *profile;
    nvmlGpuInstanceGetInfo(created->handle, &created->info);
    printf("Successfully created GPU instance ID %2u on GPU %2u using profile %s (ID %2u)\n", created->info.id,
           smi_index(device), profile->name, profile->id);
    return NVML_SUCCESS;
}

int smi_create_gpu_instances(const smi_mig_options *options)
{
    for (unsigned int g = 0; g < options->gpus.count; g++) {
        const char *list = options->profiles;
        struct request request;
        while (next_request(&list, &request)) {
            smi_gpu_instance created;
            memset(&created, 0, sizeof(created));
            nvmlReturn_t result = create_gpu_instance(options->gpus.devices[g], &request, &created);
            if (result != NVML_SUCCESS)
                return failed("create GPU instances", result);
            if (!options->with_compute_instance)
                continue;
            result = create_compute_instance(smi_index(options->gpus.devices[g]), &created, NULL);
            if (result != NVML_SUCCESS)
                return failed("create compute instances", result);
        }
    }
    return 0;
}

static nvmlReturn_t create_in(unsigned int gpu, const smi_gpu_instance *instance, const smi_mig_options *options,
                              bool *any)
{
    const char *list = options->profiles;
    struct request request;
    *any = true;
    if (!list)
        return create_compute_instance(gpu, instance, NULL);
    while (next_request(&list, &request)) {
        nvmlReturn_t result = create_compute_instance(gpu, instance, &request);
        if (result != NVML_SUCCESS)
            return result;
    }
    return NVML_SUCCESS;
}

int smi_create_compute_instances(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, create_in, "create compute instances", "GPU instances");
}

static nvmlReturn_t destroy_gpu_instance(unsigned int gpu, const smi_gpu_instance *instance,
                                         const smi_mig_options *options, bool *any)
{
    (void)options;
    *any = true;
    nvmlReturn_t result = nvmlGpuInstanceDestroy(instance->handle);
    if (result == NVML_SUCCESS)
        printf("Successfully destroyed GPU instance ID %2u from GPU %2u\n", instance->info.id, gpu);
    else
        printf("Unable to destroy GPU instance ID %2u from GPU %2u: %s\n", instance->info.id, gpu,
               nvmlErrorString(result));
    return result;
}

int smi_destroy_gpu_instances(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, destroy_gpu_instance, "destroy GPU instances", "GPU instances");
}

static nvmlReturn_t destroy_compute_instances_of(unsigned int gpu, const smi_gpu_instance *instance,
                                                 const smi_mig_options *options, bool *any)
{
    smi_compute_instance instances[SMI_MAX_INSTANCES];
    unsigned int count;
    nvmlReturn_t result = smi_compute_instances(instance, instances, &count);
    for (unsigned int i = 0; i < count && result == NVML_SUCCESS; i++) {
        if (!smi_in_list(options->compute_instances, instances[i].info.id))
            continue;
        *any = true;
        result = nvmlComputeInstanceDestroy(instances[i].handle);
        printf("%s compute instance ID %2u from GPU %2u GPU instance ID %2u",
               result == NVML_SUCCESS ? "Successfully destroyed" : "Unable to destroy", instances[i].info.id, gpu,
               instance->info.id);
        if (result != NVML_SUCCESS)
            printf(": %s", nvmlErrorString(result));
        putchar('\n');
    }
    return result;
}

int smi_destroy_compute_instances(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, destroy_compute_instances_of, "destroy compute instances",
                                     "compute instances");
}
