/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ECC and memory repair of GPUs without a fault. A MIG device has error counters of its own; the rest belongs to the
 * GPU. */
#include "answers.h"

static bool valid(nvmlMemoryErrorType_t error, nvmlEccCounterType_t counter)
{
    return (unsigned)error < NVML_MEMORY_ERROR_TYPE_COUNT && (unsigned)counter < NVML_ECC_COUNTER_TYPE_COUNT;
}

NVML(nvmlDeviceGetEccMode, (nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending),
     (device, current, pending))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!current || !pending)
        return NVML_ERROR_INVALID_ARGUMENT;
    *current = d.gpu->ecc_off ? NVML_FEATURE_DISABLED : NVML_FEATURE_ENABLED;
    *pending = d.gpu->ecc_off_pending ? NVML_FEATURE_DISABLED : NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}

/* Takes effect at the next reset. */
NVML(nvmlDeviceSetEccMode, (nvmlDevice_t device, nvmlEnableState_t ecc), (device, ecc))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (ecc != NVML_FEATURE_ENABLED && ecc != NVML_FEATURE_DISABLED)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    draft->gpus[d.index].ecc_off_pending = ecc == NVML_FEATURE_DISABLED;
    return change_commit();
}

GPU_NUMBER(nvmlDeviceGetDefaultEccMode, nvmlEnableState_t, defaultMode, NVML_FEATURE_ENABLED)

NVML(nvmlDeviceGetTotalEccErrors,
     (nvmlDevice_t device, nvmlMemoryErrorType_t errorType, nvmlEccCounterType_t counterType,
      unsigned long long *eccCounts),
     (device, errorType, counterType, eccCounts))
{
    DEVICE(d, device);
    if (!eccCounts || !valid(errorType, counterType))
        return NVML_ERROR_INVALID_ARGUMENT;
    *eccCounts = 0;
    return NVML_SUCCESS;
}

/* Of a MIG device NVML counts uncorrected volatile errors outside DRAM only. */
NVML(nvmlDeviceGetMemoryErrorCounter,
     (nvmlDevice_t device, nvmlMemoryErrorType_t errorType, nvmlEccCounterType_t counterType,
      nvmlMemoryLocation_t locationType, unsigned long long *count),
     (device, errorType, counterType, locationType, count))
{
    DEVICE(d, device);
    if (!count || !valid(errorType, counterType) || (unsigned)locationType >= NVML_MEMORY_LOCATION_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu_instance && (locationType == NVML_MEMORY_LOCATION_DRAM || counterType != NVML_VOLATILE_ECC ||
                           errorType != NVML_MEMORY_ERROR_TYPE_UNCORRECTED))
        return NVML_ERROR_NOT_SUPPORTED;
    if (locationType == NVML_MEMORY_LOCATION_TEXTURE_MEMORY || locationType == NVML_MEMORY_LOCATION_TEXTURE_SHM)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = 0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetSramEccErrorStatus, (nvmlDevice_t device, nvmlEccSramErrorStatus_v1_t *status), (device, status))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!status)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (status->version != NVML_STRUCT_VERSION(EccSramErrorStatus, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    *status = (nvmlEccSramErrorStatus_v1_t){.version = status->version};
    return NVML_SUCCESS;
}

NVML(nvmlDeviceClearEccErrorCounts, (nvmlDevice_t device, nvmlEccCounterType_t counterType), (device, counterType))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if ((unsigned)counterType >= NVML_ECC_COUNTER_TYPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    return caller_is_admin() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

/* Not told while MIG instances are active. */
NVML(nvmlDeviceGetRemappedRows,
     (nvmlDevice_t device, unsigned *corrRows, unsigned *uncRows, unsigned *isPending, unsigned *failureOccurred),
     (device, corrRows, uncRows, isPending, failureOccurred))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!corrRows || !uncRows || !isPending || !failureOccurred)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (d.gpu->gpu_instances[i].used)
            return NVML_ERROR_NOT_SUPPORTED;
    *corrRows = *uncRows = *isPending = *failureOccurred = 0;
    return NVML_SUCCESS;
}

GPU_NUMBER(nvmlDeviceGetRowRemapperHistogram, nvmlRowRemapperHistogramValues_t, values,
           ((nvmlRowRemapperHistogramValues_t){.max = 640}))

NVML(nvmlDeviceGetRepairStatus, (nvmlDevice_t device, nvmlRepairStatus_v1_t *repairStatus), (device, repairStatus))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!repairStatus)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (repairStatus->version != NVML_STRUCT_VERSION(RepairStatus, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    *repairStatus = (nvmlRepairStatus_v1_t){.version = repairStatus->version};
    return NVML_SUCCESS;
}
