/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a board is, and its modes. */
#include "answers.h"

#include <stdio.h>
#include <string.h>

GPU_NUMBER(nvmlDeviceGetBoardId, unsigned, boardId, d.gpu->pci_bus << 8)
GPU_NUMBER(nvmlDeviceGetMultiGpuBoard, unsigned, multiGpuBool, 0)
GPU_NUMBER(nvmlDeviceGetModuleId, unsigned, moduleId, d.index + 1)
GPU_NUMBER(nvmlDeviceGetIrqNum, unsigned, irqNum, 100 + d.index)
GPU_NUMBER_IF(nvmlDeviceGetNumGpuCores, unsigned, numCores, !d.gpu->mig_mode, d.model->board.cuda_cores)
GPU_NUMBER(nvmlDeviceGetMemoryBusWidth, unsigned, busWidth, d.model->board.memory_bus_bits)
GPU_NUMBER(nvmlDeviceGetBusType, nvmlBusType_t, type, NVML_BUS_TYPE_PCIE)
GPU_NUMBER(nvmlDeviceGetDisplayMode, nvmlEnableState_t, display, NVML_FEATURE_DISABLED)
GPU_NUMBER(nvmlDeviceGetDisplayActive, nvmlEnableState_t, isActive, NVML_FEATURE_DISABLED)
GPU_NUMBER(nvmlDeviceGetInforomConfigurationChecksum, unsigned, checksum, d.model->pci_device_id ^ 0x5a5a5a5a)
GPU_TEXT(nvmlDeviceGetVbiosVersion, d.model->board.vbios)
GPU_TEXT(nvmlDeviceGetBoardPartNumber, d.model->board.part_number)

/* Made of the part number: G506.0200.00.05 for 692-2G506-0200-002. */
NVML(nvmlDeviceGetInforomImageVersion, (nvmlDevice_t device, char *version, unsigned length),
     (device, version, length))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    const char *part = d.model->board.part_number;
    char text[NVML_DEVICE_INFOROM_VERSION_BUFFER_SIZE];
    snprintf(text, sizeof text, "%.4s.%.4s.00.05", part + strcspn(part, "-") + 2, strrchr(part, '-') - 4);
    return give_text(version, length, text);
}

NVML(nvmlDeviceGetInforomVersion,
     (nvmlDevice_t device, nvmlInforomObject_t object, char *version, unsigned length),
     (device, object, version, length))
{
    static const char *const versions[] = {"2.1", "7.16", "N/A"};
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if ((unsigned)object >= NVML_INFOROM_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (object >= NVML_INFOROM_POWER)
        return NVML_ERROR_NOT_SUPPORTED;
    return give_text(version, length, versions[object]);
}

NVML(nvmlDeviceValidateInforom, (nvmlDevice_t device), (device))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return NVML_SUCCESS;
}

/* The buffer has NVML_GSP_FIRMWARE_VERSION_BUF_SIZE bytes. */
NVML(nvmlDeviceGetGspFirmwareVersion, (nvmlDevice_t device, char *version), (device, version))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return give_text(version, NVML_GSP_FIRMWARE_VERSION_BUF_SIZE, host->driver_version);
}

NVML(nvmlDeviceGetGspFirmwareMode, (nvmlDevice_t device, unsigned *isEnabled, unsigned *defaultMode),
     (device, isEnabled, defaultMode))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!isEnabled || !defaultMode)
        return NVML_ERROR_INVALID_ARGUMENT;
    *isEnabled = *defaultMode = 1;
    return NVML_SUCCESS;
}

/* The machine's memory is the GPU's too, as with the open kernel modules on any recent kernel. */
NVML(nvmlDeviceGetAddressingMode, (nvmlDevice_t device, nvmlDeviceAddressingMode_v1_t *mode), (device, mode))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!mode)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (mode->version != NVML_STRUCT_VERSION(DeviceAddressingMode, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    mode->value = NVML_DEVICE_ADDRESSING_MODE_HMM;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceOnSameBoard, (nvmlDevice_t device1, nvmlDevice_t device2, int *onSameBoard),
     (device1, device2, onSameBoard))
{
    GPU(one, device1, NVML_ERROR_NOT_SUPPORTED);
    GPU(other, device2, NVML_ERROR_NOT_SUPPORTED);
    if (!onSameBoard)
        return NVML_ERROR_INVALID_ARGUMENT;
    *onSameBoard = one.index == other.index;
    return NVML_SUCCESS;
}

/* ---- Modes ---- */

GPU_NUMBER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, mode, (nvmlEnableState_t)d.gpu->settings.persistence)
GPU_NUMBER(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t, pVirtualMode,
           host->passthrough ? NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH : NVML_GPU_VIRTUALIZATION_MODE_NONE)

NVML(nvmlDeviceSetPersistenceMode, (nvmlDevice_t device, nvmlEnableState_t mode), (device, mode))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (mode != NVML_FEATURE_ENABLED && mode != NVML_FEATURE_DISABLED)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    draft->gpus[d.index].settings.persistence = mode == NVML_FEATURE_ENABLED;
    return change_commit();
}

NVML(nvmlDeviceGetComputeMode, (nvmlDevice_t device, nvmlComputeMode_t *mode), (device, mode))
{
    DEVICE(d, device);
    if (!mode)
        return NVML_ERROR_INVALID_ARGUMENT;
    *mode = d.gpu_instance ? NVML_COMPUTEMODE_DEFAULT : (nvmlComputeMode_t)d.gpu->settings.compute_mode;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceSetComputeMode, (nvmlDevice_t device, nvmlComputeMode_t mode), (device, mode))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if ((unsigned)mode >= NVML_COMPUTEMODE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->mig_mode || mode == NVML_COMPUTEMODE_EXCLUSIVE_THREAD)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    draft->gpus[d.index].settings.compute_mode = (uint8_t)mode;
    return change_commit();
}

/* Only root may change the application clocks; there are no auto boosted ones. */
NVML(nvmlDeviceGetAPIRestriction,
     (nvmlDevice_t device, nvmlRestrictedAPI_t apiType, nvmlEnableState_t *isRestricted),
     (device, apiType, isRestricted))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!isRestricted || (unsigned)apiType >= NVML_RESTRICTED_API_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (apiType != NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS)
        return NVML_ERROR_NOT_SUPPORTED;
    *isRestricted = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}

/* No licence is needed. The older structs begin with the same two members. */
#define LICENSABLE_FEATURES(name)                                                                                     \
    NVML(name, (nvmlDevice_t device, nvmlGridLicensableFeatures_t *features), (device, features))                     \
    {                                                                                                                 \
        GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                     \
        if (!features)                                                                                                \
            return NVML_ERROR_INVALID_ARGUMENT;                                                                       \
        features->isGridLicenseSupported = 0;                                                                         \
        features->licensableFeaturesCount = 0;                                                                        \
        return NVML_SUCCESS;                                                                                          \
    }

LICENSABLE_FEATURES(nvmlDeviceGetGridLicensableFeatures)
LICENSABLE_FEATURES(nvmlDeviceGetGridLicensableFeatures_v2)
LICENSABLE_FEATURES(nvmlDeviceGetGridLicensableFeatures_v3)
LICENSABLE_FEATURES(nvmlDeviceGetGridLicensableFeatures_v4)

/* ---- Confidential computing: a thing of Hopper and later, and off ---- */

static bool confidential(const struct model *model)
{
    return model->architecture == HOPPER || model->architecture == BLACKWELL;
}

GPU_NUMBER_IF(nvmlDeviceGetConfComputeMemSizeInfo, nvmlConfComputeMemSizeInfo_t, memInfo, confidential(d.model),
              ((nvmlConfComputeMemSizeInfo_t){.unprotectedMemSizeKib = d.model->memory_mib * 1024ULL}))
GPU_NUMBER_IF(nvmlDeviceGetConfComputeProtectedMemoryUsage, nvmlMemory_t, memory, confidential(d.model),
              ((nvmlMemory_t){0}))

NVML(nvmlSystemGetConfComputeCapabilities, (nvmlConfComputeSystemCaps_t *capabilities), (capabilities))
{
    if (!capabilities)
        return NVML_ERROR_INVALID_ARGUMENT;
    *capabilities = (nvmlConfComputeSystemCaps_t){0};
    return NVML_SUCCESS;
}

NVML(nvmlSystemGetConfComputeState, (nvmlConfComputeSystemState_t *state), (state))
{
    if (!state)
        return NVML_ERROR_INVALID_ARGUMENT;
    *state = (nvmlConfComputeSystemState_t){0};
    return NVML_SUCCESS;
}

NVML(nvmlSystemGetConfComputeGpusReadyState, (unsigned *isAcceptingWork), (isAcceptingWork))
{
    return isAcceptingWork ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}

/* ---- What a host does not have ---- */

NVML(nvmlUnitGetCount, (unsigned *unitCount), (unitCount))
{
    if (!unitCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *unitCount = 0;
    return NVML_SUCCESS;
}

NVML(nvmlSystemGetHicVersion, (unsigned *hwbcCount, nvmlHwbcEntry_t *hwbcEntries), (hwbcCount, hwbcEntries))
{
    (void)hwbcEntries;
    if (!hwbcCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *hwbcCount = 0;
    return NVML_SUCCESS;
}

NVML(nvmlGetExcludedDeviceCount, (unsigned *deviceCount), (deviceCount))
{
    if (!deviceCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *deviceCount = 0;
    return NVML_SUCCESS;
}

NVML(nvmlGetExcludedDeviceInfoByIndex, (unsigned index, nvmlExcludedDeviceInfo_t *info), (index, info))
{
    (void)index, (void)info;
    return NVML_ERROR_INVALID_ARGUMENT;
}
