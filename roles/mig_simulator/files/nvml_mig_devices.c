/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * MIG mode, and the MIG devices: one for each compute instance. */
#include "clients.h"
#include "geometry.h"
#include "handles.h"
#include "host.h"
#include "sensors.h"

static bool has_instances(const struct gpu *gpu)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            return true;
    return false;
}

NVML(nvmlDeviceGetMigMode, (nvmlDevice_t device, unsigned *currentMode, unsigned *pendingMode),
     (device, currentMode, pendingMode))
{
    GPU(d, device, NVML_ERROR_INVALID_ARGUMENT);
    if (!currentMode || !pendingMode)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!host_has_mig(d.gpu))
        return NVML_ERROR_NOT_SUPPORTED;
    *currentMode = d.gpu->mig_mode;
    *pendingMode = d.gpu->mig_mode_pending;
    return NVML_SUCCESS;
}

/* Ampere resets the GPU, which takes an idle one and is not to be had in pass-through, nor of one GPU alone where all
 * must be reset together (derived: what hardware answers there is not on record); from Hopper on there is no
 * reset, but whoever uses the GPU may be in the way just so. */
static bool clients_matter(const struct gpu *gpu)
{
    return models[gpu->model].architecture == AMPERE || !gpu->strange[MODE_CLIENTS];
}

/* How often a change of mode times out where it does so at first. */
enum { TIMEOUTS = 2 };

static bool times_out(struct gpu *gpu)
{
    if (gpu->strange[ACTIVATION] == ACTIVATION_TIMEOUT && gpu->timeouts < TIMEOUTS)
        return ++gpu->timeouts;
    return gpu->strange[ACTIVATION] == ACTIVATION_TIMEOUT_ALWAYS;
}

NVML(nvmlDeviceSetMigMode, (nvmlDevice_t device, unsigned mode, nvmlReturn_t *activationStatus),
     (device, mode, activationStatus))
{
    GPU(d, device, NVML_ERROR_INVALID_ARGUMENT);
    if (!activationStatus || mode > NVML_DEVICE_MIG_ENABLE)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!host_has_mig(d.gpu))
        return NVML_ERROR_NOT_SUPPORTED;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    struct gpu *gpu = &draft->gpus[d.index];
    *activationStatus = NVML_SUCCESS;
    if (mode != gpu->mig_mode && has_instances(gpu)) {
        *activationStatus = NVML_ERROR_IN_USE;
        return change_cancel(NVML_ERROR_IN_USE);
    }
    gpu->mig_mode_pending = (uint8_t)mode;
    if (mode == gpu->mig_mode)
        return change_commit();
    if (gpu_busy(draft, d.index) && clients_matter(gpu)) {
        *activationStatus = NVML_ERROR_IN_USE;
    } else if ((draft->passthrough && d.model->architecture == AMPERE) || host_resets_together(draft, gpu)) {
        bool plain = gpu->strange[ACTIVATION] != ACTIVATION_NOT_SUPPORTED &&
                     gpu->strange[ACTIVATION] != ACTIVATION_REFUSED;
        *activationStatus = plain ? NVML_ERROR_RESET_REQUIRED : NVML_ERROR_NOT_SUPPORTED;
        if (gpu->strange[ACTIVATION] == ACTIVATION_REFUSED) {
            change_commit();
            return NVML_ERROR_NOT_SUPPORTED;
        }
    } else if (times_out(gpu)) {
        *activationStatus = NVML_ERROR_TIMEOUT;
    } else if (mode || !gpu->strange[MODE_OFF]) {
        gpu_reset(gpu);
    }
    return change_commit();
}

NVML(nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t device, unsigned *isMigDevice), (device, isMigDevice))
{
    DEVICE(d, device);
    if (!isMigDevice)
        return NVML_ERROR_INVALID_ARGUMENT;
    *isMigDevice = d.gpu_instance != NULL;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t device, unsigned *count), (device, count))
{
    GPU(d, device, NVML_ERROR_INVALID_ARGUMENT);
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = d.gpu->mig_mode ? d.model->compute_slices : 0; /* 0 of a GPU without MIG, too */
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMigDeviceHandleByIndex, (nvmlDevice_t device, unsigned index, nvmlDevice_t *migDevice),
     (device, index, migDevice))
{
    GPU(d, device, NVML_ERROR_INVALID_ARGUMENT);
    if (!migDevice)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!d.gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    if (index >= d.model->compute_slices)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        const struct gpu_instance *instance = &d.gpu->gpu_instances[i];
        for (unsigned c = 0; instance->used && c < MAX_COMPUTE_INSTANCES; c++)
            if (instance->compute_instances[c].used && instance->compute_instances[c].mig_index == index) {
                *migDevice = mig_device_handle(d.index, &instance->compute_instances[c]);
                return NVML_SUCCESS;
            }
    }
    return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, (nvmlDevice_t migDevice, nvmlDevice_t *device), (migDevice, device))
{
    DEVICE(d, migDevice);
    if (!device || !d.gpu_instance)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = gpu_handle(d.index);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetGpuInstanceId, (nvmlDevice_t device, unsigned *id), (device, id))
{
    DEVICE(d, device);
    if (!id)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!d.gpu_instance)
        return NVML_ERROR_NOT_SUPPORTED;
    *id = d.gpu_instance->id;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetComputeInstanceId, (nvmlDevice_t device, unsigned *id), (device, id))
{
    DEVICE(d, device);
    if (!id)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!d.compute_instance)
        return NVML_ERROR_NOT_SUPPORTED;
    *id = d.compute_instance->id;
    return NVML_SUCCESS;
}

static nvmlReturn_t attributes_of(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    DEVICE(d, device);
    struct compute_profile compute;
    if (!d.gpu_instance)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!compute_profile_by_id(d.gpu, d.profile, d.compute_instance->profile, &compute))
        return NVML_ERROR_UNKNOWN;
    *attributes = (nvmlDeviceAttributes_t){.multiprocessorCount = compute.multiprocessors,
                                           .sharedCopyEngineCount = d.profile->copy_engines,
                                           .sharedDecoderCount = d.profile->decoders,
                                           .sharedEncoderCount = d.profile->encoders,
                                           .sharedJpegCount = d.profile->jpeg_engines,
                                           .sharedOfaCount = d.profile->ofa_engines,
                                           .gpuInstanceSliceCount = d.profile->slices,
                                           .computeInstanceSliceCount = compute.slices,
                                           .memorySizeMB = device_memory(&d)};
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetAttributes_v2, (nvmlDevice_t device, nvmlDeviceAttributes_t *attributes), (device, attributes))
{
    return attributes ? attributes_of(device, attributes) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceGetAttributes, (nvmlDevice_t device, nvmlDeviceAttributes_v1_t *attributes), (device, attributes))
{
    nvmlDeviceAttributes_t newer;
    nvmlReturn_t answer = attributes ? attributes_of(device, &newer) : NVML_ERROR_INVALID_ARGUMENT;
    if (answer == NVML_SUCCESS)
        *attributes = (nvmlDeviceAttributes_v1_t){newer.multiprocessorCount, newer.sharedCopyEngineCount,
                                                  newer.sharedDecoderCount,  newer.sharedEncoderCount,
                                                  newer.sharedJpegCount,     newer.sharedOfaCount};
    return answer;
}
