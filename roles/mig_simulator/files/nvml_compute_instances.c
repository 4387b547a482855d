/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Compute instances: profiles, placements, creating and destroying. */
#include "clients.h"
#include "geometry.h"
#include "handles.h"
#include "identifiers.h"

#include <stdio.h>
#include <string.h>

struct parent { /* the GPU instance that a function is about */
    struct position at;
    const struct gpu *gpu;
    const struct gpu_instance *gpu_instance;
    const struct profile *profile;
};

static nvmlReturn_t find_parent(const struct host *in, nvmlGpuInstance_t handle, struct parent *parent)
{
    nvmlReturn_t answer = find_gpu_instance(in, handle, &parent->at);
    if (answer != NVML_SUCCESS)
        return answer;
    parent->gpu = &in->gpus[parent->at.gpu];
    parent->gpu_instance = &parent->gpu->gpu_instances[parent->at.gpu_instance];
    parent->profile = &gpu_model(parent->gpu)->profiles[parent->gpu_instance->profile];
    return NVML_SUCCESS;
}

static nvmlReturn_t ask(nvmlGpuInstance_t handle, unsigned index, unsigned engines, struct parent *parent,
                        struct compute_profile *compute)
{
    if (index >= driver_branch(host->driver_branch)->compute_profile_count ||
        engines >= NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t answer = find_parent(host, handle, parent);
    if (answer != NVML_SUCCESS)
        return answer;
    bool there = compute_profile_by_id(parent->gpu, parent->profile, index, compute);
    return there ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

/* What create, list and capacity have in common. */
static nvmlReturn_t may_configure(nvmlGpuInstance_t handle, unsigned id, struct parent *parent,
                                  struct compute_profile *compute)
{
    nvmlReturn_t answer = find_parent(host, handle, parent);
    if (answer != NVML_SUCCESS)
        return answer;
    if (!compute_profile_by_id(parent->gpu, parent->profile, id, compute))
        return NVML_ERROR_NOT_SUPPORTED;
    return caller_may_configure_mig() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

NVML(nvmlGpuInstanceGetComputeInstanceProfileInfo,
     (nvmlGpuInstance_t gpuInstance, unsigned profile, unsigned engProfile, nvmlComputeInstanceProfileInfo_t *info),
     (gpuInstance, profile, engProfile, info))
{
    struct parent parent;
    struct compute_profile c;
    nvmlReturn_t answer = info ? ask(gpuInstance, profile, engProfile, &parent, &c) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS) {
        const struct profile *p = parent.profile;
        *info = (nvmlComputeInstanceProfileInfo_t){c.id, c.slices, c.max, c.multiprocessors, p->copy_engines,
                                                   p->decoders, p->encoders, p->jpeg_engines, p->ofa_engines};
    }
    return answer;
}

NVML(nvmlGpuInstanceGetComputeInstanceProfileInfoV,
     (nvmlGpuInstance_t gpuInstance, unsigned profile, unsigned engProfile, nvmlComputeInstanceProfileInfo_v2_t *info),
     (gpuInstance, profile, engProfile, info))
{
    struct parent parent;
    struct compute_profile c;
    if (!info)
        return NVML_ERROR_INVALID_ARGUMENT;
    bool third = info->version == NVML_STRUCT_VERSION(ComputeInstanceProfileInfo, 3);
    if (info->version != NVML_STRUCT_VERSION(ComputeInstanceProfileInfo, 2) && (!third || host->driver_branch < 550))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t answer = ask(gpuInstance, profile, engProfile, &parent, &c);
    if (answer != NVML_SUCCESS)
        return answer;
    const struct profile *p = parent.profile;
    /* Version 3 is version 2 and, at its end, the capabilities. */
    *info = (nvmlComputeInstanceProfileInfo_v2_t){info->version, c.id, c.slices, c.max, c.multiprocessors,
                                                  p->copy_engines, p->decoders, p->encoders, p->jpeg_engines,
                                                  p->ofa_engines, "MIG "};
    if (parent.gpu->strange[NAMES] == NAMES_ABSENT)
        info->name[0] = 0;
    else
        compute_profile_name(info->name + 4, sizeof info->name - 4, parent.gpu, p, &c);
    if (third)
        ((nvmlComputeInstanceProfileInfo_v3_t *)info)->capabilities =
            strstr(p->name, "+gfx") ? NVML_COMPUTE_INSTANCE_PROFILE_CAPS_GFX : 0;
    return NVML_SUCCESS;
}

NVML(nvmlGpuInstanceGetComputeInstanceRemainingCapacity,
     (nvmlGpuInstance_t gpuInstance, unsigned profileId, unsigned *count), (gpuInstance, profileId, count))
{
    struct parent parent;
    struct compute_profile compute;
    nvmlReturn_t answer = count ? may_configure(gpuInstance, profileId, &parent, &compute)
                                : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        *count = compute_instance_capacity(parent.gpu, parent.gpu_instance, &compute);
    return answer;
}

/* Without an array: how many there are, and SUCCESS. */
NVML(nvmlGpuInstanceGetComputeInstancePossiblePlacements,
     (nvmlGpuInstance_t gpuInstance, unsigned profileId, nvmlComputeInstancePlacement_t *placements, unsigned *count),
     (gpuInstance, profileId, placements, count))
{
    struct parent parent;
    struct compute_profile compute;
    nvmlReturn_t answer = count ? may_configure(gpuInstance, profileId, &parent, &compute)
                                : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    if (placements && *count < compute.start_count)
        answer = NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; placements && answer == NVML_SUCCESS && i < compute.start_count; i++) {
        bool mixed = parent.gpu->strange[PLACEMENT_ORDER] && (i ^ 1) < compute.start_count;
        placements[i] = (nvmlComputeInstancePlacement_t){compute.starts[mixed ? i ^ 1 : i], compute.size};
    }
    *count = compute.start_count;
    return answer;
}

/* The MIG devices of the GPU counted from 0 on by GPU instance id and compute instance id. */
static void count_anew(struct gpu *gpu)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
            struct gpu_instance *instance = &gpu->gpu_instances[i];
            struct compute_instance *compute = &instance->compute_instances[c];
            if (!instance->used || !compute->used)
                continue;
            compute->mig_index = 0;
            for (unsigned j = 0; j < MAX_GPU_INSTANCES; j++)
                for (unsigned d = 0; d < MAX_COMPUTE_INSTANCES; d++) {
                    const struct gpu_instance *beside = &gpu->gpu_instances[j];
                    const struct compute_instance *other = &beside->compute_instances[d];
                    if (beside->used && other->used &&
                        (beside->id < instance->id || (beside->id == instance->id && other->id < compute->id)))
                        compute->mig_index++;
                }
        }
}

/* The lowest numbers not taken: the id in the GPU instance, the MIG device index on the GPU. */
static void number(struct compute_instance *compute, const struct gpu_instance *parent, const struct gpu *gpu)
{
    uint32_t ids = 0, indexes = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        for (unsigned c = 0; gpu->gpu_instances[i].used && c < MAX_COMPUTE_INSTANCES; c++) {
            const struct compute_instance *other = &gpu->gpu_instances[i].compute_instances[c];
            if (!other->used)
                continue;
            indexes |= 1u << other->mig_index;
            if (&gpu->gpu_instances[i] == parent)
                ids |= 1u << other->id;
        }
    while (ids >> compute->id & 1)
        compute->id++;
    while (indexes >> compute->mig_index & 1)
        compute->mig_index++;
}

/* Of GPU, GPU instance id and engine (RM: nvGenerateSmcUuid), which is here the compute instance's id; or the same UUID
 * for the same slices of the same GPU, or another one each time. */
static void name(struct compute_instance *compute, const struct gpu_instance *parent, const struct gpu *gpu)
{
    bool again = gpu->strange[UUIDS] == UUIDS_PROFILE, engine = gpu->strange[UUIDS] == UUIDS_ENGINE;
    uint64_t numbers[6] = {0, 0, engine ? parent->id : (uint64_t)parent->profile << 8 | parent->start,
                           engine ? compute->id : (uint64_t)compute->profile << 8 | compute->start,
                           again || engine ? 0 : compute->serial, engine};
    memcpy(numbers, gpu->uuid, sizeof gpu->uuid);
    make_uuid(compute->uuid, 5, numbers, 6);
}

/* The code for a place that is not to be had. */
static nvmlReturn_t refusal(const struct parent *parent, const struct compute_profile *profile,
                            const nvmlComputeInstancePlacement_t *placement)
{
    switch (parent->gpu->strange[REFUSALS]) {
    case REFUSALS_IN_USE:
        return NVML_ERROR_IN_USE;
    case REFUSALS_INVALID:
        return NVML_ERROR_INVALID_ARGUMENT;
    case REFUSALS_MODEL:
        if (placement && compute_place_taken(parent->gpu_instance, placement->start, placement->size))
            return NVML_ERROR_IN_USE;
        if (placement && placement->start < MAX_COMPUTE_INSTANCES && placement->size == profile->size &&
            placement->start % profile->size)
            return NVML_ERROR_INVALID_ARGUMENT;
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    default:
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    }
}

static nvmlReturn_t create(nvmlGpuInstance_t handle, unsigned id, const nvmlComputeInstancePlacement_t *placement,
                           nvmlComputeInstance_t *created)
{
    struct parent parent;
    struct compute_profile profile;
    nvmlReturn_t answer = created ? may_configure(handle, id, &parent, &profile) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    CHANGE(draft);
    answer = find_parent(draft, handle, &parent);
    if (answer != NVML_SUCCESS)
        return change_cancel(answer);
    struct gpu *gpu = &draft->gpus[parent.at.gpu];
    struct gpu_instance *instance = &gpu->gpu_instances[parent.at.gpu_instance];
    int start = placement ? (int)placement->start : compute_instance_choice(gpu, instance, &profile);
    if (start < 0 || (placement && placement->size != profile.size) ||
        !compute_instance_fits(gpu, instance, &profile, (unsigned)start))
        return change_cancel(refusal(&parent, &profile, placement));
    struct compute_instance *compute = instance->compute_instances;
    while (compute->used) /* one that fits finds an entry: there are more entries than compute slices */
        compute++;
    *compute = (struct compute_instance){.profile = (uint8_t)profile.id, .start = (uint8_t)start,
                                         .size = (uint8_t)profile.size, .serial = draft->next_serial++};
    number(compute, instance, gpu);
    name(compute, instance, gpu);
    compute->used = 1;
    if (gpu->strange[MIG_INDEXES])
        count_anew(gpu);
    *created = compute_instance_handle(parent.at.gpu, compute);
    return change_commit();
}

NVML(nvmlGpuInstanceCreateComputeInstance,
     (nvmlGpuInstance_t gpuInstance, unsigned profileId, nvmlComputeInstance_t *computeInstance),
     (gpuInstance, profileId, computeInstance))
{
    return create(gpuInstance, profileId, NULL, computeInstance);
}

NVML(nvmlGpuInstanceCreateComputeInstanceWithPlacement,
     (nvmlGpuInstance_t gpuInstance, unsigned profileId, const nvmlComputeInstancePlacement_t *placement,
      nvmlComputeInstance_t *computeInstance),
     (gpuInstance, profileId, placement, computeInstance))
{
    return placement ? create(gpuInstance, profileId, placement, computeInstance) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlComputeInstanceDestroy, (nvmlComputeInstance_t computeInstance), (computeInstance))
{
    struct position at;
    nvmlReturn_t answer = find_compute_instance(host, computeInstance, &at);
    if (answer == NVML_ERROR_INVALID_ARGUMENT)
        return answer;
    if (!caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    answer = find_compute_instance(draft, computeInstance, &at);
    if (answer != NVML_SUCCESS)
        return change_cancel(answer);
    struct compute_instance *compute =
        &draft->gpus[at.gpu].gpu_instances[at.gpu_instance].compute_instances[at.compute_instance];
    if (compute_instance_busy(draft, compute->serial))
        return change_cancel(NVML_ERROR_IN_USE);
    *compute = (struct compute_instance){0};
    if (draft->gpus[at.gpu].strange[MIG_INDEXES])
        count_anew(&draft->gpus[at.gpu]);
    return change_commit();
}

/* The count is output only: the caller's array holds the profile's maximum. */
NVML(nvmlGpuInstanceGetComputeInstances,
     (nvmlGpuInstance_t gpuInstance, unsigned profileId, nvmlComputeInstance_t *computeInstances, unsigned *count),
     (gpuInstance, profileId, computeInstances, count))
{
    struct parent parent;
    struct compute_profile profile;
    if (!computeInstances || !count)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t answer = may_configure(gpuInstance, profileId, &parent, &profile);
    if (answer != NVML_SUCCESS)
        return answer;
    *count = 0;
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
        const struct compute_instance *compute = &parent.gpu_instance->compute_instances[c];
        if (compute->used && compute->profile == profile.id)
            computeInstances[(*count)++] = compute_instance_handle(parent.at.gpu, compute);
    }
    return NVML_SUCCESS;
}

NVML(nvmlGpuInstanceGetComputeInstanceById,
     (nvmlGpuInstance_t gpuInstance, unsigned id, nvmlComputeInstance_t *computeInstance),
     (gpuInstance, id, computeInstance))
{
    struct parent parent;
    nvmlReturn_t answer = computeInstance ? find_parent(host, gpuInstance, &parent) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer != NVML_SUCCESS)
        return answer;
    if (!caller_may_configure_mig())
        return NVML_ERROR_NO_PERMISSION;
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
        const struct compute_instance *compute = &parent.gpu_instance->compute_instances[c];
        if (compute->used && compute->id == id) {
            *computeInstance = compute_instance_handle(parent.at.gpu, compute);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

static nvmlReturn_t info_of(nvmlComputeInstance_t handle, nvmlComputeInstanceInfo_t *info)
{
    struct position at;
    nvmlReturn_t answer = find_compute_instance(host, handle, &at);
    if (answer != NVML_SUCCESS)
        return answer;
    const struct gpu_instance *instance = &host->gpus[at.gpu].gpu_instances[at.gpu_instance];
    const struct compute_instance *compute = &instance->compute_instances[at.compute_instance];
    *info = (nvmlComputeInstanceInfo_t){gpu_handle(at.gpu), gpu_instance_handle(at.gpu, instance), compute->id,
                                        compute->profile, {compute->start, compute->size}};
    return NVML_SUCCESS;
}

NVML(nvmlComputeInstanceGetInfo_v2, (nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info),
     (computeInstance, info))
{
    return info ? info_of(computeInstance, info) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlComputeInstanceGetInfo, (nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_v1_t *info),
     (computeInstance, info))
{
    nvmlComputeInstanceInfo_t newer;
    nvmlReturn_t answer = info ? info_of(computeInstance, &newer) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        *info = (nvmlComputeInstanceInfo_v1_t){newer.device, newer.gpuInstance, newer.id, newer.profileId};
    return answer;
}
