/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: what each field of --query-gpu reads. */
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "smi.h"

#define PRINT(...) snprintf(value, SMI_VALUE_SIZE, __VA_ARGS__)

#define TEXT_FIELD(field, function)                                                                                    \
    static nvmlReturn_t field(nvmlDevice_t device, int argument, char *value)                                          \
    {                                                                                                                  \
        (void)argument;                                                                                                \
        return function(device, value, NVML_DEVICE_NAME_BUFFER_SIZE);                                                  \
    }

#define COUNT_FIELD(field, function, format)                                                                           \
    static nvmlReturn_t field(nvmlDevice_t device, int argument, char *value)                                          \
    {                                                                                                                  \
        unsigned int number = 0;                                                                                       \
        (void)argument;                                                                                                \
        nvmlReturn_t result = function(device, &number);                                                               \
        PRINT(format, number);                                                                                         \
        return result;                                                                                                 \
    }

#define STATE_FIELD(field, function)                                                                                   \
    static nvmlReturn_t field(nvmlDevice_t device, int argument, char *value)                                          \
    {                                                                                                                  \
        nvmlEnableState_t state = NVML_FEATURE_DISABLED;                                                               \
        (void)argument;                                                                                                \
        nvmlReturn_t result = function(device, &state);                                                                \
        PRINT("%s", state == NVML_FEATURE_ENABLED ? "Enabled" : "Disabled");                                           \
        return result;                                                                                                 \
    }

#define POWER_FIELD(field, function)                                                                                   \
    static nvmlReturn_t field(nvmlDevice_t device, int argument, char *value)                                          \
    {                                                                                                                  \
        unsigned int milliwatts = 0;                                                                                   \
        (void)argument;                                                                                                \
        nvmlReturn_t result = function(device, &milliwatts);                                                           \
        PRINT("%.2f", milliwatts / 1000.0);                                                                            \
        return result;                                                                                                 \
    }

TEXT_FIELD(name, nvmlDeviceGetName)
TEXT_FIELD(serial, nvmlDeviceGetSerial)
TEXT_FIELD(uuid, nvmlDeviceGetUUID)
TEXT_FIELD(vbios, nvmlDeviceGetVbiosVersion)
TEXT_FIELD(inforom, nvmlDeviceGetInforomImageVersion)
COUNT_FIELD(index_of, nvmlDeviceGetIndex, "%u")
COUNT_FIELD(generation, nvmlDeviceGetCurrPcieLinkGeneration, "%u")
COUNT_FIELD(generation_max, nvmlDeviceGetMaxPcieLinkGeneration, "%u")
COUNT_FIELD(generation_gpu_max, nvmlDeviceGetGpuMaxPcieLinkGeneration, "%u")
COUNT_FIELD(width, nvmlDeviceGetCurrPcieLinkWidth, "%u")
COUNT_FIELD(width_max, nvmlDeviceGetMaxPcieLinkWidth, "%u")
STATE_FIELD(display_mode, nvmlDeviceGetDisplayMode)
STATE_FIELD(display_active, nvmlDeviceGetDisplayActive)
STATE_FIELD(persistence, nvmlDeviceGetPersistenceMode)
STATE_FIELD(accounting, nvmlDeviceGetAccountingMode)
POWER_FIELD(power_draw, nvmlDeviceGetPowerUsage)
POWER_FIELD(power_limit, nvmlDeviceGetPowerManagementLimit)
POWER_FIELD(power_enforced, nvmlDeviceGetEnforcedPowerLimit)
POWER_FIELD(power_default, nvmlDeviceGetPowerManagementDefaultLimit)

static nvmlReturn_t fan(nvmlDevice_t device, int argument, char *value) /* the boards have none */
{
    (void)device, (void)argument, (void)value;
    return NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t timestamp(nvmlDevice_t device, int argument, char *value)
{
    struct timeval now;
    char day[64];
    (void)device, (void)argument;
    gettimeofday(&now, NULL);
    strftime(day, sizeof(day), "%Y/%m/%d %H:%M:%S", localtime(&now.tv_sec));
    PRINT("%s.%03ld", day, (long)now.tv_usec / 1000);
    return NVML_SUCCESS;
}

static nvmlReturn_t driver(nvmlDevice_t device, int argument, char *value)
{
    (void)device, (void)argument;
    return nvmlSystemGetDriverVersion(value, NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE);
}

static nvmlReturn_t count_of(nvmlDevice_t device, int argument, char *value)
{
    unsigned int count = 0;
    (void)device, (void)argument;
    nvmlReturn_t result = nvmlDeviceGetCount_v2(&count);
    PRINT("%u", count);
    return result;
}

enum { PCI_ADDRESS, PCI_DOMAIN, PCI_BUS, PCI_DEVICE, PCI_DEVICE_ID, PCI_SUB_DEVICE_ID };

static nvmlReturn_t pci(nvmlDevice_t device, int argument, char *value)
{
    nvmlPciInfo_t info;
    memset(&info, 0, sizeof(info));
    nvmlReturn_t result = nvmlDeviceGetPciInfo_v3(device, &info);
    switch (argument) {
    case PCI_ADDRESS: PRINT("%s", info.busId); break;
    case PCI_DOMAIN: PRINT("0x%04X", info.domain); break;
    case PCI_BUS: PRINT("0x%02X", info.bus); break;
    case PCI_DEVICE: PRINT("0x%02X", info.device); break;
    case PCI_DEVICE_ID: PRINT("0x%08X", info.pciDeviceId); break;
    default: PRINT("0x%08X", info.pciSubSystemId);
    }
    return result;
}

enum { MEMORY_TOTAL, MEMORY_RESERVED, MEMORY_USED, MEMORY_FREE };

static nvmlReturn_t memory(nvmlDevice_t device, int argument, char *value)
{
    nvmlMemory_v2_t info;
    nvmlReturn_t result = smi_memory(device, &info);
    if (argument == MEMORY_RESERVED && !info.reserved)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned long long bytes[] = {info.total, info.reserved, info.used, info.free};
    PRINT("%llu", bytes[argument] >> 20);
    return result;
}

static nvmlReturn_t utilisation(nvmlDevice_t device, int of_memory, char *value)
{
    nvmlUtilization_t rates = {0, 0};
    nvmlReturn_t result = nvmlDeviceGetUtilizationRates(device, &rates);
    PRINT("%u", of_memory ? rates.memory : rates.gpu);
    return result;
}

static nvmlReturn_t clock_now(nvmlDevice_t device, int type, char *value)
{
    unsigned int megahertz = 0;
    nvmlReturn_t result = nvmlDeviceGetClockInfo(device, (nvmlClockType_t)type, &megahertz);
    PRINT("%u", megahertz);
    return result;
}

static nvmlReturn_t clock_max(nvmlDevice_t device, int type, char *value)
{
    unsigned int megahertz = 0;
    nvmlReturn_t result = nvmlDeviceGetMaxClockInfo(device, (nvmlClockType_t)type, &megahertz);
    PRINT("%u", megahertz);
    return result;
}

static nvmlReturn_t clock_applications(nvmlDevice_t device, int type, char *value)
{
    unsigned int megahertz = 0;
    nvmlReturn_t result = nvmlDeviceGetApplicationsClock(device, (nvmlClockType_t)type, &megahertz);
    PRINT("%u", megahertz);
    return result;
}

static nvmlReturn_t temperature(nvmlDevice_t device, int argument, char *value)
{
    unsigned int degrees = 0;
    (void)argument;
    nvmlReturn_t result = nvmlDeviceGetTemperature(device, NVML_TEMPERATURE_GPU, &degrees);
    PRINT("%u", degrees);
    return result;
}

static nvmlReturn_t power_bound(nvmlDevice_t device, int upper, char *value)
{
    unsigned int bounds[2] = {0, 0};
    nvmlReturn_t result = nvmlDeviceGetPowerManagementLimitConstraints(device, &bounds[0], &bounds[1]);
    PRINT("%.2f", bounds[upper] / 1000.0);
    return result;
}

static nvmlReturn_t performance_state(nvmlDevice_t device, int argument, char *value)
{
    nvmlPstates_t state = NVML_PSTATE_UNKNOWN;
    (void)argument;
    nvmlReturn_t result = nvmlDeviceGetPerformanceState(device, &state);
    PRINT("P%d", (int)state);
    return result;
}

static nvmlReturn_t compute_mode(nvmlDevice_t device, int argument, char *value)
{
    static const char *const names[] = {"Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process"};
    nvmlComputeMode_t mode = NVML_COMPUTEMODE_DEFAULT;
    (void)argument;
    nvmlReturn_t result = nvmlDeviceGetComputeMode(device, &mode);
    PRINT("%s", mode < NVML_COMPUTEMODE_COUNT ? names[mode] : "Unknown");
    return result;
}

static nvmlReturn_t capability(nvmlDevice_t device, int argument, char *value)
{
    int major = 0, minor = 0;
    (void)argument;
    nvmlReturn_t result = nvmlDeviceGetCudaComputeCapability(device, &major, &minor);
    PRINT("%d.%d", major, minor);
    return result;
}

static nvmlReturn_t ecc_mode(nvmlDevice_t device, int pending, char *value)
{
    nvmlEnableState_t states[2] = {NVML_FEATURE_DISABLED, NVML_FEATURE_DISABLED};
    nvmlReturn_t result = nvmlDeviceGetEccMode(device, &states[0], &states[1]);
    PRINT("%s", states[pending] == NVML_FEATURE_ENABLED ? "Enabled" : "Disabled");
    return result;
}

static nvmlReturn_t ecc_errors(nvmlDevice_t device, int which, char *value) /* 2 * error type + counter type */
{
    unsigned long long count = 0;
    nvmlReturn_t result = nvmlDeviceGetTotalEccErrors(device, (nvmlMemoryErrorType_t)(which / 2),
                                                      (nvmlEccCounterType_t)(which % 2), &count);
    PRINT("%llu", count);
    return result;
}

static nvmlReturn_t mig_mode(nvmlDevice_t device, int pending, char *value)
{
    unsigned int modes[2] = {0, 0};
    nvmlReturn_t result = nvmlDeviceGetMigMode(device, &modes[0], &modes[1]);
    PRINT("%s", modes[pending] == NVML_DEVICE_MIG_ENABLE ? "Enabled" : "Disabled");
    return result;
}

static nvmlReturn_t clock_reasons(nvmlDevice_t device, int argument, char *value)
{
    unsigned long long reasons = 0;
    (void)argument;
    nvmlReturn_t result = nvmlDeviceGetCurrentClocksThrottleReasons(device, &reasons);
    PRINT("0x%016llx", reasons);
    return result;
}

const smi_field smi_fields[] = {
    {"timestamp", "", timestamp, 0},
    {"driver_version", "", driver, 0},
    {"count", "", count_of, 0},
    {"name", "", name, 0},
    {"gpu_name", "", name, 0},
    {"serial", "", serial, 0},
    {"gpu_serial", "", serial, 0},
    {"uuid", "", uuid, 0},
    {"gpu_uuid", "", uuid, 0},
    {"index", "", index_of, 0},
    {"pci.bus_id", "", pci, PCI_ADDRESS},
    {"gpu_bus_id", "", pci, PCI_ADDRESS},
    {"pci.domain", "", pci, PCI_DOMAIN},
    {"pci.bus", "", pci, PCI_BUS},
    {"pci.device", "", pci, PCI_DEVICE},
    {"pci.device_id", "", pci, PCI_DEVICE_ID},
    {"pci.sub_device_id", "", pci, PCI_SUB_DEVICE_ID},
    {"pcie.link.gen.current", "", generation, 0},
    {"pcie.link.gen.gpucurrent", "", generation, 0},
    {"pcie.link.gen.max", "", generation_max, 0},
    {"pcie.link.gen.gpumax", "", generation_gpu_max, 0},
    {"pcie.link.width.current", "", width, 0},
    {"pcie.link.width.max", "", width_max, 0},
    {"display_mode", "", display_mode, 0},
    {"display_active", "", display_active, 0},
    {"persistence_mode", "", persistence, 0},
    {"accounting.mode", "", accounting, 0},
    {"vbios_version", "", vbios, 0},
    {"inforom.img", "", inforom, 0},
    {"fan.speed", " %", fan, 0},
    {"pstate", "", performance_state, 0},
    {"clocks_event_reasons.active", "", clock_reasons, 0},
    {"clocks_throttle_reasons.active", "", clock_reasons, 0},
    {"memory.total", " MiB", memory, MEMORY_TOTAL},
    {"memory.reserved", " MiB", memory, MEMORY_RESERVED},
    {"memory.used", " MiB", memory, MEMORY_USED},
    {"memory.free", " MiB", memory, MEMORY_FREE},
    {"compute_mode", "", compute_mode, 0},
    {"compute_cap", "", capability, 0},
    {"utilization.gpu", " %", utilisation, 0},
    {"utilization.memory", " %", utilisation, 1},
    {"ecc.mode.current", "", ecc_mode, 0},
    {"ecc.mode.pending", "", ecc_mode, 1},
    {"ecc.errors.corrected.volatile.total", "", ecc_errors, 0},
    {"ecc.errors.corrected.aggregate.total", "", ecc_errors, 1},
    {"ecc.errors.uncorrected.volatile.total", "", ecc_errors, 2},
    {"ecc.errors.uncorrected.aggregate.total", "", ecc_errors, 3},
    {"temperature.gpu", "", temperature, 0},
    {"power.draw", " W", power_draw, 0},
    {"power.limit", " W", power_limit, 0},
    {"enforced.power.limit", " W", power_enforced, 0},
    {"power.default_limit", " W", power_default, 0},
    {"power.min_limit", " W", power_bound, 0},
    {"power.max_limit", " W", power_bound, 1},
    {"clocks.current.graphics", " MHz", clock_now, NVML_CLOCK_GRAPHICS},
    {"clocks.gr", " MHz", clock_now, NVML_CLOCK_GRAPHICS},
    {"clocks.current.sm", " MHz", clock_now, NVML_CLOCK_SM},
    {"clocks.sm", " MHz", clock_now, NVML_CLOCK_SM},
    {"clocks.current.memory", " MHz", clock_now, NVML_CLOCK_MEM},
    {"clocks.mem", " MHz", clock_now, NVML_CLOCK_MEM},
    {"clocks.current.video", " MHz", clock_now, NVML_CLOCK_VIDEO},
    {"clocks.applications.graphics", " MHz", clock_applications, NVML_CLOCK_GRAPHICS},
    {"clocks.applications.memory", " MHz", clock_applications, NVML_CLOCK_MEM},
    {"clocks.max.graphics", " MHz", clock_max, NVML_CLOCK_GRAPHICS},
    {"clocks.max.sm", " MHz", clock_max, NVML_CLOCK_SM},
    {"clocks.max.memory", " MHz", clock_max, NVML_CLOCK_MEM},
    {"mig.mode.current", "", mig_mode, 0},
    {"mig.mode.pending", "", mig_mode, 1},
};

const int smi_field_count = sizeof(smi_fields) / sizeof(*smi_fields);
