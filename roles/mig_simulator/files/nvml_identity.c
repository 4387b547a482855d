/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which GPUs there are, and what they are. */
#include "geometry.h"
#include "handles.h"
#include "identifiers.h"

#include <stdio.h>
#include <string.h>

static nvmlReturn_t count_gpus(unsigned *count)
{
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = host->gpu_count;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetCount, (unsigned *deviceCount), (deviceCount))
{
    return count_gpus(deviceCount);
}

NVML(nvmlDeviceGetCount_v2, (unsigned *deviceCount), (deviceCount))
{
    return count_gpus(deviceCount);
}

static nvmlReturn_t by_index(unsigned index, nvmlDevice_t *device)
{
    if (!device || index >= host->gpu_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = gpu_handle(index);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetHandleByIndex, (unsigned index, nvmlDevice_t *device), (index, device))
{
    return by_index(index, device);
}

NVML(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t *device), (index, device))
{
    return by_index(index, device);
}

/* A MIG device's UUID has a handle too. */
static nvmlReturn_t by_uuid(const char *uuid, nvmlDevice_t *device)
{
    const struct compute_instance *compute;
    unsigned gpu;
    if (!uuid || !device || (strncmp(uuid, "GPU-", 4) && strncmp(uuid, "MIG-", 4)))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!find_uuid(host, uuid, &gpu, &compute))
        return NVML_ERROR_NOT_FOUND;
    *device = compute ? mig_device_handle(gpu, compute) : gpu_handle(gpu);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *device), (uuid, device))
{
    return by_uuid(uuid, device);
}

NVML(nvmlDeviceGetHandleByUUIDV, (const nvmlUUID_v1_t *uuid, nvmlDevice_t *device), (uuid, device))
{
    if (!uuid || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (uuid->version != NVML_STRUCT_VERSION(UUID, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (uuid->type == 1) {
        char text[sizeof uuid->value.str + 1] = "";
        memcpy(text, uuid->value.str, sizeof uuid->value.str);
        return by_uuid(text, device);
    }
    if (uuid->type != 2)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned g = 0; g < host->gpu_count; g++)
        if (!memcmp(host->gpus[g].uuid, uuid->value.bytes, sizeof uuid->value.bytes)) {
            *device = gpu_handle(g);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

static void serial_text(char *text, size_t length, const struct gpu *gpu)
{
    snprintf(text, length, "%013llu", (unsigned long long)gpu->serial);
}

NVML(nvmlDeviceGetHandleBySerial, (const char *serial, nvmlDevice_t *device), (serial, device))
{
    char text[NVML_DEVICE_SERIAL_BUFFER_SIZE];
    if (!serial || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned g = 0; g < host->gpu_count; g++) {
        serial_text(text, sizeof text, &host->gpus[g]);
        if (!strcmp(serial, text)) {
            *device = gpu_handle(g);
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

/* [domain:]bus:device[.function], in hexadecimal digits. */
static nvmlReturn_t by_pci(const char *address, nvmlDevice_t *device)
{
    unsigned domain, bus, slot, function = 0;
    char end;
    if (!address || !device)
        return NVML_ERROR_INVALID_ARGUMENT;
    int found = sscanf(address, "%8x:%2x:%2x.%1x%c", &domain, &bus, &slot, &function, &end);
    if (found != 3 && found != 4) {
        domain = function = 0;
        found = sscanf(address, "%2x:%2x.%1x%c", &bus, &slot, &function, &end);
        if (found != 2 && found != 3)
            return NVML_ERROR_INVALID_ARGUMENT;
    }
    for (unsigned g = 0; g < host->gpu_count; g++)
        if (host->gpus[g].pci_bus == bus && !domain && !slot && !function) {
            *device = gpu_handle(g);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlDeviceGetHandleByPciBusId, (const char *pciBusId, nvmlDevice_t *device), (pciBusId, device))
{
    return by_pci(pciBusId, device);
}

NVML(nvmlDeviceGetHandleByPciBusId_v2, (const char *pciBusId, nvmlDevice_t *device), (pciBusId, device))
{
    return by_pci(pciBusId, device);
}

NVML(nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned length), (device, name, length))
{
    DEVICE(d, device);
    char profile[48], text[NVML_DEVICE_NAME_V2_BUFFER_SIZE];
    if (!d.gpu_instance)
        return give_text(name, length, d.model->product);
    struct compute_profile compute;
    if (!compute_profile_by_id(d.gpu, d.profile, d.compute_instance->profile, &compute))
        return NVML_ERROR_UNKNOWN;
    compute_profile_name(profile, sizeof profile, d.gpu, d.profile, &compute);
    snprintf(text, sizeof text, "%s MIG %s", d.model->product, profile);
    return give_text(name, length, text);
}

NVML(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned *index), (device, index))
{
    DEVICE(d, device);
    if (!index)
        return NVML_ERROR_INVALID_ARGUMENT;
    *index = d.compute_instance ? d.compute_instance->mig_index : d.index;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetUUID, (nvmlDevice_t device, char *uuid, unsigned length), (device, uuid, length))
{
    DEVICE(d, device);
    char text[UUID_TEXT];
    if (d.compute_instance)
        mig_uuid_text(text, host, d.gpu, d.gpu_instance, d.compute_instance);
    else
        gpu_uuid_text(text, d.gpu);
    return give_text(uuid, length, text);
}

NVML(nvmlDeviceGetSerial, (nvmlDevice_t device, char *serial, unsigned length), (device, serial, length))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    char text[NVML_DEVICE_SERIAL_BUFFER_SIZE];
    serial_text(text, sizeof text, d.gpu);
    return give_text(serial, length, text);
}

NVML(nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned *minorNumber), (device, minorNumber))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!minorNumber)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->strange[MINOR] == MINOR_NONE)
        return NVML_ERROR_NOT_SUPPORTED;
    *minorNumber = d.gpu->minor;
    return NVML_SUCCESS;
}

enum { SUBSYSTEM_VENDOR = 0x10de };

static unsigned subsystem_id(const struct device *d)
{
    return (d->model->pci_device_id & 0xff000000u) | 0x140000u | SUBSYSTEM_VENDOR;
}

/* The older structs hold a short address, 0000:07:00.0. */
static nvmlReturn_t pci_info_v2(nvmlDevice_t device, nvmlPciInfo_v2_t *pci)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!pci)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->strange[PCI_ADDRESS])
        return NVML_ERROR_NOT_SUPPORTED;
    *pci = (nvmlPciInfo_v2_t){.bus = d.gpu->pci_bus, .pciDeviceId = d.model->pci_device_id,
                              .pciSubSystemId = subsystem_id(&d)};
    snprintf(pci->busId, sizeof pci->busId, "0000:%02X:00.0", d.gpu->pci_bus & 0xff);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetPciInfo, (nvmlDevice_t device, nvmlPciInfo_v2_t *pci), (device, pci))
{
    return pci_info_v2(device, pci);
}

NVML(nvmlDeviceGetPciInfo_v2, (nvmlDevice_t device, nvmlPciInfo_v2_t *pci), (device, pci))
{
    return pci_info_v2(device, pci);
}

NVML(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t *pci), (device, pci))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!pci)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->strange[PCI_ADDRESS])
        return NVML_ERROR_NOT_SUPPORTED;
    *pci = (nvmlPciInfo_t){.bus = d.gpu->pci_bus, .pciDeviceId = d.model->pci_device_id,
                           .pciSubSystemId = subsystem_id(&d)};
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "0000:%02X:00.0", d.gpu->pci_bus & 0xff);
    pci_address_text(pci->busId, d.gpu);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetPciInfoExt, (nvmlDevice_t device, nvmlPciInfoExt_v1_t *pci), (device, pci))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!pci)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (pci->version != NVML_STRUCT_VERSION(PciInfoExt, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (d.gpu->strange[PCI_ADDRESS])
        return NVML_ERROR_NOT_SUPPORTED;
    *pci = (nvmlPciInfoExt_v1_t){.version = pci->version, .bus = d.gpu->pci_bus,
                                 .pciDeviceId = d.model->pci_device_id, .pciSubSystemId = subsystem_id(&d),
                                 .baseClass = 0x03, .subClass = 0x02}; /* 3D controller */
    pci_address_text(pci->busId, d.gpu);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetBrand, (nvmlDevice_t device, nvmlBrandType_t *type), (device, type))
{
    DEVICE(d, device);
    if (!type)
        return NVML_ERROR_INVALID_ARGUMENT;
    *type = strstr(d.model->product, "RTX") ? NVML_BRAND_NVIDIA_RTX : NVML_BRAND_NVIDIA;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetArchitecture, (nvmlDevice_t device, nvmlDeviceArchitecture_t *arch), (device, arch))
{
    static const nvmlDeviceArchitecture_t numbers[] = {
        [AMPERE] = NVML_DEVICE_ARCH_AMPERE, [ADA] = NVML_DEVICE_ARCH_ADA, [HOPPER] = NVML_DEVICE_ARCH_HOPPER,
        [BLACKWELL] = NVML_DEVICE_ARCH_BLACKWELL};
    DEVICE(d, device);
    if (!arch)
        return NVML_ERROR_INVALID_ARGUMENT;
    *arch = numbers[d.model->architecture];
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int *major, int *minor), (device, major, minor))
{
    DEVICE(d, device);
    if (!major || !minor)
        return NVML_ERROR_INVALID_ARGUMENT;
    *major = d.model->board.capability_major;
    *minor = d.model->board.capability_minor;
    return NVML_SUCCESS;
}
