/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * GPU instances: profiles, placements, creating and destroying. */
#include "clients.h"
#include "geometry.h"
#include "handles.h"
#include "host.h"

#include <stdio.h>
#include <string.h>

static nvmlReturn_t may_ask_profiles(const struct device *d)
{
    bool answers = d->gpu->mig_mode || host_tells_profiles(host, d->gpu);
    return host_has_mig(d->gpu) && answers ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* A profile by its NVML_GPU_INSTANCE_PROFILE_* index; beyond its own header an old driver answers INVALID_ARGUMENT. */
static nvmlReturn_t ask_by_index(const struct device *d, unsigned index, const struct profile **profile)
{
    if (d->gpu_instance || index >= driver_branch(host->driver_branch)->gpu_profile_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *profile = profile_by_index(d->model, index, host->driver_branch);
    return *profile ? may_ask_profiles(d) : NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t ask_by_id(const struct device *d, unsigned id, const struct profile **profile)
{
    if (d->gpu_instance)
        return NVML_ERROR_INVALID_ARGUMENT;
    *profile = profile_by_id(d->model, id, host->driver_branch);
    return *profile ? may_ask_profiles(d) : NVML_ERROR_NOT_SUPPORTED;
}

/* What create, list, look up and capacity have in common: they need MIG on, a profile, and permission. */
static nvmlReturn_t may_configure(const struct device *d, unsigned profile_id, const struct profile **profile)
{
    nvmlReturn_t answer = ask_by_id(d, profile_id, profile);
    if (answer != NVML_SUCCESS)
        return answer;
    if (!d->gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    return caller_may_configure_mig() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

NVML(nvmlDeviceGetGpuInstanceProfileInfo,
     (nvmlDevice_t device, unsigned profile, nvmlGpuInstanceProfileInfo_t *info), (device, profile, info))
{
    DEVICE(d, device);
    const struct profile *p;
    nvmlReturn_t answer = info ? ask_by_index(&d, profile, &p) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        *info = (nvmlGpuInstanceProfileInfo_t){p->id, 0, p->slices, p->max, p->multiprocessors, p->copy_engines,
                                               p->decoders, p->encoders, p->jpeg_engines, p->ofa_engines,
                                               p->memory_mib};
    return answer;
}

/* Version 3 came with R550. */
static bool known_version(unsigned version)
{
    return version == NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2) ||
           (version == NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 3) && host->driver_branch >= 550);
}

static void fill_info(const struct profile *p, bool named, nvmlGpuInstanceProfileInfo_v2_t *info)
{
    char name[sizeof info->name] = "";
    if (named)
        snprintf(name, sizeof name, "MIG %s", p->name);
    if (info->version == NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2)) {
        *info = (nvmlGpuInstanceProfileInfo_v2_t){info->version, p->id, 0, p->slices, p->max, p->multiprocessors,
                                                  p->copy_engines, p->decoders, p->encoders, p->jpeg_engines,
                                                  p->ofa_engines, p->memory_mib, ""};
        memcpy(info->name, name, sizeof name);
    } else {
        nvmlGpuInstanceProfileInfo_v3_t *newer = (nvmlGpuInstanceProfileInfo_v3_t *)info;
        *newer = (nvmlGpuInstanceProfileInfo_v3_t){newer->version, p->id, p->slices, p->max, p->multiprocessors,
                                                   p->copy_engines, p->decoders, p->encoders, p->jpeg_engines,
                                                   p->ofa_engines, p->memory_mib, "",
                                                   strstr(p->name, "+gfx") ? NVML_GPU_INSTANCE_PROFILE_CAPS_GFX : 0};
        memcpy(newer->name, name, sizeof name);
    }
}

NVML(nvmlDeviceGetGpuInstanceProfileInfoV,
     (nvmlDevice_t device, unsigned profile, nvmlGpuInstanceProfileInfo_v2_t *info), (device, profile, info))
{
    DEVICE(d, device);
    const struct profile *p;
    if (!info)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!known_version(info->version))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t answer = ask_by_index(&d, profile, &p);
    if (answer == NVML_SUCCESS)
        fill_info(p, d.gpu->strange[NAMES] != NAMES_ABSENT, info);
    return answer;
}

NVML(nvmlDeviceGetGpuInstanceProfileInfoByIdV,
     (nvmlDevice_t device, unsigned profileId, nvmlGpuInstanceProfileInfo_v2_t *info), (device, profileId, info))
{
    DEVICE(d, device);
    const struct profile *p;
    if (!info)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!known_version(info->version))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t answer = ask_by_id(&d, profileId, &p);
    if (answer == NVML_SUCCESS)
        fill_info(p, d.gpu->strange[NAMES] != NAMES_ABSENT, info);
    return answer;
}

/* Without an array: how many there are, and SUCCESS. */
static nvmlReturn_t possible_placements(nvmlDevice_t device, unsigned profile_id,
                                        nvmlGpuInstancePlacement_t *placements, unsigned *count)
{
    DEVICE(d, device);
    const struct profile *profile;
    nvmlReturn_t answer = count ? ask_by_id(&d, profile_id, &profile) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    if (!caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    if (placements && *count < profile->start_count)
        answer = NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; placements && answer == NVML_SUCCESS && i < profile->start_count; i++)
        placements[i] = (nvmlGpuInstancePlacement_t){profile->starts[i], profile->size};
    *count = profile->start_count;
    return answer;
}

NVML(nvmlDeviceGetGpuInstancePossiblePlacements,
     (nvmlDevice_t device, unsigned profileId, nvmlGpuInstancePlacement_t *placements, unsigned *count),
     (device, profileId, placements, count))
{
    return possible_placements(device, profileId, placements, count);
}

NVML(nvmlDeviceGetGpuInstancePossiblePlacements_v2,
     (nvmlDevice_t device, unsigned profileId, nvmlGpuInstancePlacement_t *placements, unsigned *count),
     (device, profileId, placements, count))
{
    return possible_placements(device, profileId, placements, count);
}

NVML(nvmlDeviceGetGpuInstanceRemainingCapacity, (nvmlDevice_t device, unsigned profileId, unsigned *count),
     (device, profileId, count))
{
    DEVICE(d, device);
    const struct profile *profile;
    nvmlReturn_t answer = count ? may_configure(&d, profileId, &profile) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        *count = gpu_instance_capacity(d.gpu, profile, host->driver_branch);
    return answer;
}

/* Whether somebody who uses the GPU keeps it from its first GPU instance: its channels and memory are in the way (RM:
 * kmigmgrCreateGPUInstanceCheck). */
static bool first_refused(const struct host *draft, unsigned index)
{
    const struct gpu *gpu = &draft->gpus[index];
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            return false;
    return gpu->strange[FIRST_INSTANCE] == FIRST_INSTANCE_HOLDERS     ? gpu_busy(draft, index)
           : gpu->strange[FIRST_INSTANCE] == FIRST_INSTANCE_PROCESSES ? gpu_computes(draft, index)
                                                                      : false;
}

/* The code for a place that is not to be had. */
static nvmlReturn_t refusal(const struct gpu *gpu)
{
    return gpu->strange[REFUSALS] == REFUSALS_IN_USE    ? NVML_ERROR_IN_USE
           : gpu->strange[REFUSALS] == REFUSALS_INVALID ? NVML_ERROR_INVALID_ARGUMENT
                                                        : NVML_ERROR_INSUFFICIENT_RESOURCES;
}

/* Without a placement the driver chooses. */
static nvmlReturn_t create(nvmlDevice_t device, unsigned profile_id, const nvmlGpuInstancePlacement_t *placement,
                           nvmlGpuInstance_t *created)
{
    DEVICE(d, device);
    const struct profile *profile;
    nvmlReturn_t answer = created ? may_configure(&d, profile_id, &profile) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    CHANGE(draft);
    struct gpu *gpu = &draft->gpus[d.index];
    if (!gpu->mig_mode)
        return change_cancel(NVML_ERROR_NOT_SUPPORTED);
    if (first_refused(draft, d.index))
        return change_cancel(NVML_ERROR_IN_USE);
    int start = placement ? (int)placement->start : gpu_instance_choice(gpu, profile, draft->driver_branch);
    bool fits = start >= 0 && (!placement || placement->size == profile->size) &&
                gpu_instance_fits(gpu, profile, (unsigned)start, draft->driver_branch);
    int id = fits ? gpu_instance_new_id(gpu, profile, (unsigned)start) : -1;
    struct gpu_instance *instance = gpu->gpu_instances;
    while (instance < gpu->gpu_instances + MAX_GPU_INSTANCES && instance->used)
        instance++;
    if (id < 0 || instance == gpu->gpu_instances + MAX_GPU_INSTANCES)
        return change_cancel(refusal(gpu));
    *instance = (struct gpu_instance){.used = 1, .id = (uint8_t)id, .start = (uint8_t)start,
                                      .profile = (uint8_t)(profile - d.model->profiles),
                                      .serial = draft->next_serial++};
    gpu->created++;
    *created = gpu_instance_handle(d.index, instance);
    return change_commit();
}

NVML(nvmlDeviceCreateGpuInstance, (nvmlDevice_t device, unsigned profileId, nvmlGpuInstance_t *gpuInstance),
     (device, profileId, gpuInstance))
{
    return create(device, profileId, NULL, gpuInstance);
}

NVML(nvmlDeviceCreateGpuInstanceWithPlacement,
     (nvmlDevice_t device, unsigned profileId, const nvmlGpuInstancePlacement_t *placement,
      nvmlGpuInstance_t *gpuInstance),
     (device, profileId, placement, gpuInstance))
{
    return placement ? create(device, profileId, placement, gpuInstance) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlGpuInstanceDestroy, (nvmlGpuInstance_t gpuInstance), (gpuInstance))
{
    struct position at;
    nvmlReturn_t answer = find_gpu_instance(host, gpuInstance, &at);
    if (answer == NVML_ERROR_INVALID_ARGUMENT)
        return answer;
    if (!caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    answer = find_gpu_instance(draft, gpuInstance, &at);
    if (answer != NVML_SUCCESS)
        return change_cancel(answer);
    struct gpu_instance *instance = &draft->gpus[at.gpu].gpu_instances[at.gpu_instance];
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++)
        if (instance->compute_instances[c].used)
            return change_cancel(NVML_ERROR_IN_USE);
    if (gpu_instance_subscribed(draft, instance->serial))
        return change_cancel(NVML_ERROR_IN_USE);
    *instance = (struct gpu_instance){0};
    return change_commit();
}

/* The count is output only: the caller's array holds the profile's maximum. */
NVML(nvmlDeviceGetGpuInstances,
     (nvmlDevice_t device, unsigned profileId, nvmlGpuInstance_t *gpuInstances, unsigned *count),
     (device, profileId, gpuInstances, count))
{
    DEVICE(d, device);
    const struct profile *profile;
    if (!gpuInstances || !count)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t answer = may_configure(&d, profileId, &profile);
    if (answer != NVML_SUCCESS)
        return answer;
    *count = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        const struct gpu_instance *instance = &d.gpu->gpu_instances[i];
        if (instance->used && &d.model->profiles[instance->profile] == profile)
            gpuInstances[(*count)++] = gpu_instance_handle(d.index, instance);
    }
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetGpuInstanceById, (nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *gpuInstance),
     (device, id, gpuInstance))
{
    GPU(d, device, NVML_ERROR_INVALID_ARGUMENT);
    if (!gpuInstance)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!d.gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (d.gpu->gpu_instances[i].used && d.gpu->gpu_instances[i].id == id) {
            *gpuInstance = gpu_instance_handle(d.index, &d.gpu->gpu_instances[i]);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlGpuInstanceGetInfo, (nvmlGpuInstance_t gpuInstance, nvmlGpuInstanceInfo_t *info), (gpuInstance, info))
{
    struct position at;
    nvmlReturn_t answer = info ? find_gpu_instance(host, gpuInstance, &at) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    const struct gpu *gpu = &host->gpus[at.gpu];
    const struct gpu_instance *instance = &gpu->gpu_instances[at.gpu_instance];
    const struct profile *profile = &gpu_model(gpu)->profiles[instance->profile];
    *info = (nvmlGpuInstanceInfo_t){gpu_handle(at.gpu), instance->id, profile->id, {instance->start, profile->size}};
    return NVML_SUCCESS;
}
