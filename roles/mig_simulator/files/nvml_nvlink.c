/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * NVLink to NVSwitches or to other GPUs, peer access over it, and the fabric. With MIG on a GPU's links are down. */
#include "answers.h"

#include <stdio.h>
#include <string.h>

enum { LINKS_A_SWITCH = 6, SWITCH_BUS = 0xc0 };

/* The GPU of a handle if it has such a link. */
#define LINK(d, device, link)                                                                                         \
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                         \
    if ((link) >= NVML_NVLINK_MAX_LINKS)                                                                              \
        return NVML_ERROR_INVALID_ARGUMENT;                                                                           \
    if ((link) >= d.model->board.nvlinks)                                                                             \
    return d.model->board.nvlinks ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_NOT_SUPPORTED

/* Boards with Hopper and later come with NVSwitches. */
static bool on_switches(const struct device *d)
{
    return host->nvswitch || d->model->architecture != AMPERE;
}

/* The GPU at the other end of a link that is not to a switch: the links go round the others. NULL: there is none. */
static const struct gpu *linked_gpu(const struct device *d, unsigned link)
{
    const struct gpu *others[MAX_GPUS];
    unsigned count = 0;
    for (unsigned i = 1; i < host->gpu_count; i++) {
        const struct gpu *other = &host->gpus[(d->index + i) % host->gpu_count];
        if (models[other->model].board.nvlinks)
            others[count++] = other;
    }
    return count ? others[link % count] : NULL;
}

static bool link_is_up(const struct device *d)
{
    return !d->gpu->mig_mode && (on_switches(d) || linked_gpu(d, 0));
}

NVML(nvmlDeviceGetNvLinkState, (nvmlDevice_t device, unsigned link, nvmlEnableState_t *isActive),
     (device, link, isActive))
{
    LINK(d, device, link);
    if (!isActive)
        return NVML_ERROR_INVALID_ARGUMENT;
    *isActive = link_is_up(&d) ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return NVML_SUCCESS;
}

/* NVML_NVLINK_VERSION_*: 3.0, 4.0 and 5.0 are 4, 6 and 7. */
NVML(nvmlDeviceGetNvLinkVersion, (nvmlDevice_t device, unsigned link, unsigned *version), (device, link, version))
{
    static const unsigned versions[] = {[AMPERE] = 4, [ADA] = 4, [HOPPER] = 6, [BLACKWELL] = 7};
    LINK(d, device, link);
    if (!version)
        return NVML_ERROR_INVALID_ARGUMENT;
    *version = versions[d.model->architecture];
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNvLinkCapability,
     (nvmlDevice_t device, unsigned link, nvmlNvLinkCapability_t capability, unsigned *capResult),
     (device, link, capability, capResult))
{
    LINK(d, device, link);
    if (!capResult || (unsigned)capability >= NVML_NVLINK_CAP_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *capResult = capability == NVML_NVLINK_CAP_P2P_SUPPORTED || capability == NVML_NVLINK_CAP_P2P_ATOMICS ||
                 capability == NVML_NVLINK_CAP_VALID;
    return NVML_SUCCESS;
}

/* What is at the other end of a link. */
static nvmlPciInfo_t far_end(const struct device *d, unsigned link)
{
    nvmlPciInfo_t pci = {0};
    if (on_switches(d)) {
        pci.bus = SWITCH_BUS + link / LINKS_A_SWITCH;
        pci.pciDeviceId = d->model->architecture == AMPERE ? 0x1af110de : 0x22a310de; /* of HGX A100 and of later ones */
    } else {
        const struct gpu *gpu = linked_gpu(d, link);
        pci.bus = gpu->pci_bus;
        pci.pciDeviceId = models[gpu->model].pci_device_id;
    }
    snprintf(pci.busIdLegacy, sizeof pci.busIdLegacy, "0000:%02X:00.0", pci.bus & 0xff);
    snprintf(pci.busId, sizeof pci.busId, "00000000:%02X:00.0", pci.bus & 0xff);
    return pci;
}

/* Only an active link knows its other end. */
NVML(nvmlDeviceGetNvLinkRemotePciInfo_v2, (nvmlDevice_t device, unsigned link, nvmlPciInfo_t *pci),
     (device, link, pci))
{
    LINK(d, device, link);
    if (!pci)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!link_is_up(&d))
        return NVML_ERROR_NOT_SUPPORTED;
    *pci = far_end(&d, link);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNvLinkRemotePciInfo, (nvmlDevice_t device, unsigned link, nvmlPciInfo_v2_t *pci),
     (device, link, pci))
{
    LINK(d, device, link);
    if (!pci)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!link_is_up(&d))
        return NVML_ERROR_NOT_SUPPORTED;
    nvmlPciInfo_t end = far_end(&d, link);
    *pci = (nvmlPciInfo_v2_t){.bus = end.bus, .pciDeviceId = end.pciDeviceId};
    memcpy(pci->busId, end.busIdLegacy, sizeof pci->busId);
    return NVML_SUCCESS;
}

/* Of a link that is down too: whether hardware tells it there is not on record. */
NVML(nvmlDeviceGetNvLinkRemoteDeviceType,
     (nvmlDevice_t device, unsigned link, nvmlIntNvLinkDeviceType_t *pNvLinkDeviceType),
     (device, link, pNvLinkDeviceType))
{
    LINK(d, device, link);
    if (!pNvLinkDeviceType)
        return NVML_ERROR_INVALID_ARGUMENT;
    *pNvLinkDeviceType = on_switches(&d)           ? NVML_NVLINK_DEVICE_TYPE_SWITCH
                         : linked_gpu(&d, link) ? NVML_NVLINK_DEVICE_TYPE_GPU
                                                : NVML_NVLINK_DEVICE_TYPE_UNKNOWN;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNvLinkErrorCounter,
     (nvmlDevice_t device, unsigned link, nvmlNvLinkErrorCounter_t counter, unsigned long long *counterValue),
     (device, link, counter, counterValue))
{
    LINK(d, device, link);
    if (!counterValue || (unsigned)counter >= NVML_NVLINK_ERROR_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *counterValue = 0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceResetNvLinkErrorCounters, (nvmlDevice_t device, unsigned link), (device, link))
{
    LINK(d, device, link);
    return caller_is_admin() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

/* MIG takes peer access away. */
NVML(nvmlDeviceGetP2PStatus,
     (nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuP2PCapsIndex_t p2pIndex, nvmlGpuP2PStatus_t *p2pStatus),
     (device1, device2, p2pIndex, p2pStatus))
{
    GPU(one, device1, NVML_ERROR_NOT_SUPPORTED);
    GPU(other, device2, NVML_ERROR_NOT_SUPPORTED);
    if (!p2pStatus || (unsigned)p2pIndex >= NVML_P2P_CAPS_INDEX_UNKNOWN)
        return NVML_ERROR_INVALID_ARGUMENT;
    bool linked = one.model->board.nvlinks && other.model->board.nvlinks;
    bool over_link = p2pIndex == NVML_P2P_CAPS_INDEX_NVLINK || p2pIndex == NVML_P2P_CAPS_INDEX_ATOMICS;
    if (one.gpu->mig_mode || other.gpu->mig_mode || (over_link && !linked))
        *p2pStatus = NVML_P2P_STATUS_NOT_SUPPORTED;
    else
        *p2pStatus = NVML_P2P_STATUS_OK;
    return NVML_SUCCESS;
}

/* ---- Fabric: GPUs of Hopper and later on NVSwitches are registered with it ---- */

static bool in_fabric(const struct device *d)
{
    return d->model->board.nvlinks && d->model->architecture != AMPERE;
}

NVML(nvmlDeviceGetGpuFabricInfo, (nvmlDevice_t device, nvmlGpuFabricInfo_t *gpuFabricInfo), (device, gpuFabricInfo))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!gpuFabricInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!in_fabric(&d))
        return NVML_ERROR_NOT_SUPPORTED;
    *gpuFabricInfo = (nvmlGpuFabricInfo_t){.state = NVML_GPU_FABRIC_STATE_COMPLETED};
    return NVML_SUCCESS;
}

/* Two versions, told apart by their first member. Outside NVLink domains of several hosts the cluster's UUID is 0. */
NVML(nvmlDeviceGetGpuFabricInfoV, (nvmlDevice_t device, nvmlGpuFabricInfo_v2_t *gpuFabricInfo),
     (device, gpuFabricInfo))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!gpuFabricInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    unsigned version = gpuFabricInfo->version;
    if (version != NVML_STRUCT_VERSION(GpuFabricInfo, 2) && version != NVML_STRUCT_VERSION(GpuFabricInfo, 3))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (!in_fabric(&d))
        return NVML_ERROR_NOT_SUPPORTED;
    *gpuFabricInfo = (nvmlGpuFabricInfo_v2_t){.version = version, .state = NVML_GPU_FABRIC_STATE_COMPLETED};
    if (version == NVML_STRUCT_VERSION(GpuFabricInfo, 3))
        ((nvmlGpuFabricInfo_v3_t *)(void *)gpuFabricInfo)->healthSummary = NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY;
    return NVML_SUCCESS;
}
