/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: the list of devices (-L) and the default page, in the layout of driver R580. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "smi.h"

int smi_list(const smi_gpus *gpus)
{
    for (unsigned int i = 0; i < gpus->count; i++) {
        nvmlDevice_t device = gpus->devices[i], mig;
        char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE] = "", uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE] = "";
        unsigned int most = 0;
        nvmlDeviceGetName(device, name, sizeof(name));
        nvmlDeviceGetUUID(device, uuid, sizeof(uuid));
        printf("GPU %u: %s (UUID: %s)\n", smi_index(device), name, uuid);
        nvmlDeviceGetMaxMigDeviceCount(device, &most);
        for (unsigned int m = 0; m < most; m++) {
            if (nvmlDeviceGetMigDeviceHandleByIndex(device, m, &mig) != NVML_SUCCESS)
                continue;
            nvmlDeviceGetUUID(mig, uuid, sizeof(uuid));
            printf("  MIG %-11s Device %2u: (UUID: %s)\n", smi_mig_profile(mig), m, uuid);
        }
    }
    return 0;
}

static void versions(void)
{
    char driver[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "", cuda[16];
    int version = 0;
    time_t now = time(NULL);
    char date[64];
    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", localtime(&now));
    nvmlSystemGetDriverVersion(driver, sizeof(driver));
    nvmlSystemGetCudaDriverVersion_v2(&version);
    snprintf(cuda, sizeof(cuda), "%d.%d", version / 1000, version % 1000 / 10);
    puts(date);
    puts("+-----------------------------------------------------------------------------------------+");
    printf("| NVIDIA-SMI %-22s Driver Version: %-14s CUDA Version: %-8s |\n", driver, driver, cuda);
}

/* "[N/A]" cells: what a query that did not succeed shows. */
static const char *text(nvmlReturn_t result, char *buffer, size_t size, const char *format, unsigned int value)
{
    if (result != NVML_SUCCESS)
        return "N/A";
    snprintf(buffer, size, format, value);
    return buffer;
}

static const char *on_off(nvmlReturn_t result, nvmlEnableState_t state)
{
    return result != NVML_SUCCESS ? "N/A" : state == NVML_FEATURE_ENABLED ? "On" : "Off";
}

static void gpu(nvmlDevice_t device)
{
    static const char *const compute_modes[] = {"Default", "E. Thread", "Prohibited", "E. Process"};
    char name[NVML_DEVICE_NAME_V2_BUFFER_SIZE] = "", temperature[16], ecc[16], utilisation[16], mig[16];
    nvmlEnableState_t persistence = NVML_FEATURE_DISABLED, display = NVML_FEATURE_DISABLED;
    nvmlEnableState_t ecc_mode = NVML_FEATURE_DISABLED, ecc_pending = NVML_FEATURE_DISABLED;
    unsigned int degrees = 0, power = 0, limit = 0, current = 0, pending = 0;
    nvmlPstates_t state = NVML_PSTATE_UNKNOWN;
    nvmlMemory_v2_t memory;
    nvmlUtilization_t busy = {0, 0};
    nvmlComputeMode_t mode = NVML_COMPUTEMODE_DEFAULT;
    unsigned long long errors = 0;

    nvmlDeviceGetName(device, name, sizeof(name));
    if (strlen(name) > 27)
        memcpy(name + 24, "...", 4);
    nvmlReturn_t shown = nvmlDeviceGetPersistenceMode(device, &persistence);
    printf("|%4u  %-27s %5s  |", smi_index(device), name, on_off(shown, persistence));
    shown = nvmlDeviceGetDisplayActive(device, &display);
    printf("%19s %3s |", smi_bus_id(device), on_off(shown, display));
    shown = nvmlDeviceGetEccMode(device, &ecc_mode, &ecc_pending);
    if (shown == NVML_SUCCESS && ecc_mode == NVML_FEATURE_ENABLED) {
        shown = nvmlDeviceGetTotalEccErrors(device, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, &errors);
        printf("%21s |\n", text(shown, ecc, sizeof(ecc), "%u", (unsigned int)errors));
    } else {
        printf("%21s |\n", on_off(shown, ecc_mode));
    }

    nvmlReturn_t has_temperature = nvmlDeviceGetTemperature(device, NVML_TEMPERATURE_GPU, &degrees);
    nvmlDeviceGetPerformanceState(device, &state);
    nvmlDeviceGetPowerUsage(device, &power);
    nvmlDeviceGetEnforcedPowerLimit(device, &limit);
    smi_memory(device, &memory);
    nvmlReturn_t has_utilisation = nvmlDeviceGetUtilizationRates(device, &busy);
    nvmlDeviceGetComputeMode(device, &mode);
    printf("| N/A   %3s    P%u%15uW / %4uW |", text(has_temperature, temperature, sizeof(temperature), "%uC", degrees),
           (unsigned int)state % 100, power / 1000, limit / 1000); /* N/A: no fan */
    printf("%8lluMiB / %6lluMiB |", memory.used >> 20, memory.total >> 20);
    printf("%8s %12s |\n", text(has_utilisation, utilisation, sizeof(utilisation), "%u%%", busy.gpu),
           mode < NVML_COMPUTEMODE_COUNT ? compute_modes[mode] : "N/A");

    shown = nvmlDeviceGetMigMode(device, &current, &pending);
    snprintf(mig, sizeof(mig), "%s%s", current ? "Enabled" : "Disabled", current == pending ? "" : "*");
    printf("|%41s|%24s|%21s |\n", "", "", shown == NVML_SUCCESS ? mig : "N/A");
    puts("+-----------------------------------------+------------------------+----------------------+");
}

static void mig_device(nvmlDevice_t mig, unsigned int gpu_index, unsigned int index)
{
    unsigned int gpu_instance = 0, compute_instance = 0;
    nvmlMemory_v2_t memory;
    nvmlBAR1Memory_t bar1 = {0, 0, 0};
    nvmlDeviceAttributes_t attributes;
    unsigned long long errors = 0;
    char ecc[16];
    memset(&attributes, 0, sizeof(attributes));
    nvmlDeviceGetGpuInstanceId(mig, &gpu_instance);
    nvmlDeviceGetComputeInstanceId(mig, &compute_instance);
    smi_memory(mig, &memory);
    nvmlDeviceGetBAR1MemoryInfo(mig, &bar1);
    if (nvmlDeviceGetAttributes_v2(mig, &attributes) == NVML_ERROR_FUNCTION_NOT_FOUND) { /* R450 */
        nvmlDeviceAttributes_v1_t older;
        if (nvmlDeviceGetAttributes(mig, &older) == NVML_SUCCESS)
            memcpy(&attributes, &older, sizeof(older));
    }
    nvmlReturn_t shown = nvmlDeviceGetMemoryErrorCounter(mig, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC,
                                                         NVML_MEMORY_LOCATION_SRAM, &errors);
    printf("|%3u %4u %3u %3u  |%16lluMiB / %5lluMiB    | %-4u%5s |%3u %3u %4u %4u %4u |\n", gpu_index, gpu_instance,
           compute_instance, index, memory.used >> 20, memory.total >> 20, attributes.multiprocessorCount,
           text(shown, ecc, sizeof(ecc), "%u", (unsigned int)errors), attributes.sharedCopyEngineCount,
           attributes.sharedEncoderCount, attributes.sharedDecoderCount, attributes.sharedOfaCount,
           attributes.sharedJpegCount);
    printf("|%18s|%16lluMiB / %5lluMiB    |%11s|%23s|\n", "", bar1.bar1Used >> 20, bar1.bar1Total >> 20, "", "");
    puts("+------------------+----------------------------------+-----------+-----------------------+");
}

static void mig_devices(const smi_gpus *gpus)
{
    bool any = false;
    puts("\n+-----------------------------------------------------------------------------------------+");
    puts("| MIG devices:                                                                            |");
    puts("+------------------+----------------------------------+-----------+-----------------------+");
    puts("| GPU  GI  CI  MIG |              Shared Memory-Usage |        Vol|        Shared         |");
    puts("|      ID  ID  Dev |                Shared BAR1-Usage | SM     Unc| CE ENC  DEC  OFA  JPG |");
    puts("|                  |                                  |        ECC|                       |");
    puts("|==================+==================================+===========+=======================|");
    for (unsigned int i = 0; i < gpus->count; i++) {
        nvmlDevice_t mig;
        unsigned int most = 0;
        nvmlDeviceGetMaxMigDeviceCount(gpus->devices[i], &most);
        for (unsigned int m = 0; m < most; m++) {
            if (nvmlDeviceGetMigDeviceHandleByIndex(gpus->devices[i], m, &mig) != NVML_SUCCESS)
                continue;
            mig_device(mig, smi_index(gpus->devices[i]), m);
            any = true;
        }
    }
    if (!any) {
        puts("|  No MIG devices found                                                                   |");
        puts("+-----------------------------------------------------------------------------------------+");
    }
}

static const char *instance_id(unsigned int id, char *buffer, size_t size)
{
    return text(id == 0xffffffff ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS, buffer, size, "%u", id);
}

static void processes(const smi_gpus *gpus)
{
    bool any = false;
    puts("\n+-----------------------------------------------------------------------------------------+");
    puts("| Processes:                                                                              |");
    puts("|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |");
    puts("|        ID   ID                                                               Usage      |");
    puts("|=========================================================================================|");
    for (unsigned int i = 0; i < gpus->count; i++) {
        nvmlProcessInfo_t list[SMI_MAX_PROCESSES];
        unsigned int count = smi_compute_processes(gpus->devices[i], list);
        for (unsigned int p = 0; p < count; p++) {
            char gi[16], ci[16], name[256], memory[32];
            char *shown = name;
            smi_process_name(list[p].pid, name, sizeof(name));
            if (strlen(name) > 36)
                shown = memcpy(name + strlen(name) - 36, "...", 3);
            snprintf(memory, sizeof(memory), "%lluMiB", list[p].usedGpuMemory >> 20);
            printf("|%5u %5s %4s %15u %6s   %-36s%10s |\n", smi_index(gpus->devices[i]),
                   instance_id(list[p].gpuInstanceId, gi, sizeof(gi)),
                   instance_id(list[p].computeInstanceId, ci, sizeof(ci)), list[p].pid, "C", shown, memory);
            any = true;
        }
    }
    if (!any)
        puts("|  No running processes found                                                             |");
    puts("+-----------------------------------------------------------------------------------------+");
}

int smi_table(const smi_gpus *gpus)
{
    bool mig = false;
    versions();
    puts("+-----------------------------------------+------------------------+----------------------+");
    puts("| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |");
    puts("| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |");
    puts("|                                         |                        |               MIG M. |");
    puts("|=========================================+========================+======================|");
    for (unsigned int i = 0; i < gpus->count; i++) {
        gpu(gpus->devices[i]);
        mig |= smi_mig_enabled(gpus->devices[i]);
    }
    if (mig)
        mig_devices(gpus);
    processes(gpus);
    return 0;
}
