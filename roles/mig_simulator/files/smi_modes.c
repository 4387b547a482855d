/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: MIG mode, persistence mode and reset. */
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "smi.h"

static int terminated(nvmlReturn_t result)
{
    printf("Terminating early due to previous errors.\n");
    return smi_exit_status(result);
}

static int all_done(void)
{
    printf("All done.\n");
    return 0;
}

static int invalid(const char *option)
{
    printf("Option \"%s\" is not recognized as a valid value. Please run 'nvidia-smi -h'.\n", option);
    return smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
}

/* 0 or DISABLED, 1 or ENABLED; -1 for anything else. */
static int switch_value(const char *word)
{
    if (strcmp(word, "0") == 0 || strcmp(word, "DISABLED") == 0)
        return 0;
    return strcmp(word, "1") == 0 || strcmp(word, "ENABLED") == 0 ? 1 : -1;
}

int smi_set_mig_mode(const smi_gpus *gpus, const char *word)
{
    int mode = switch_value(word);
    if (mode < 0)
        return invalid(word);
    const char *verb = mode ? "enable" : "disable";
    for (unsigned int i = 0; i < gpus->count; i++) {
        const char *bus_id = smi_bus_id(gpus->devices[i]);
        nvmlReturn_t activation = NVML_SUCCESS;
        nvmlReturn_t result = nvmlDeviceSetMigMode(gpus->devices[i], (unsigned int)mode, &activation);
        if (result != NVML_SUCCESS) {
            printf("Unable to %s MIG Mode for GPU %s: %s\n", verb, bus_id, nvmlErrorString(result));
            if (result != NVML_ERROR_NOT_SUPPORTED)
                return terminated(result);
            printf("Treating as warning and moving on.\n");
        } else if (activation == NVML_SUCCESS) {
            printf("%s MIG Mode for GPU %s\n", mode ? "Enabled" : "Disabled", bus_id);
        } else if (activation == NVML_ERROR_IN_USE) {
            printf("Warning: MIG mode is in pending %s state for GPU %s:%s\n", verb, bus_id,
                   nvmlErrorString(activation));
            printf("%s is currently being used by one or more other processes (e.g. CUDA application or a monitoring "
                   "application such as another instance of nvidia-smi). Please first kill all processes using the "
                   "device and retry the command or reboot the system to make MIG mode effective.\n",
                   bus_id);
        } else {
            printf("Warning: MIG mode is in pending %s state for GPU %s:%s\n", verb, bus_id,
                   nvmlErrorString(NVML_ERROR_NOT_SUPPORTED));
            printf("Reboot the system or try nvidia-smi --gpu-reset to make MIG mode effective on GPU %s\n", bus_id);
        }
    }
    return all_done();
}

int smi_set_persistence_mode(const smi_gpus *gpus, const char *word)
{
    int mode = switch_value(word);
    if (mode < 0)
        return invalid(word);
    for (unsigned int i = 0; i < gpus->count; i++) {
        const char *bus_id = smi_bus_id(gpus->devices[i]), *state = mode ? "Enabled" : "Disabled";
        nvmlEnableState_t before = NVML_FEATURE_DISABLED;
        nvmlDeviceGetPersistenceMode(gpus->devices[i], &before);
        nvmlReturn_t result = nvmlDeviceSetPersistenceMode(gpus->devices[i], (nvmlEnableState_t)mode);
        if (result != NVML_SUCCESS) {
            printf("Unable to set persistence mode for GPU %s: %s\n", bus_id, nvmlErrorString(result));
            return terminated(result);
        }
        if ((int)before == mode)
            printf("Persistence mode is already %s for GPU %s.\n", state, bus_id);
        else
            printf("%s persistence mode for GPU %s.\n", state, bus_id);
    }
    return all_done();
}

/* Names the GPUs that would have to be reset in the same command, if there are any. */
static bool lacks_peers(const enum reset_result results[MAX_GPUS])
{
    bool any = false;
    for (unsigned int i = 0; i < MAX_GPUS; i++) {
        nvmlDevice_t device;
        if (results[i] != RESET_MISSING || nvmlDeviceGetHandleByIndex_v2(i, &device) != NVML_SUCCESS)
            continue;
        if (!any)
            printf("GPU Reset couldn't progress because the specified devices do not meet the reset criterion (e.g. "
                   "NVLink connected GPUs must be reset together). Please append the following device indexes to the "
                   "command line and retry.\n");
        printf("GPU %u (%s)\n", i, smi_bus_id(device));
        any = true;
    }
    return any;
}

/* There is no reset in NVML: the simulated host does it. */
int smi_reset(const smi_gpus *gpus)
{
    static struct state state; /* large */
    enum reset_result results[MAX_GPUS] = {RESET_NOT_WANTED};
    const char *reasons[MAX_GPUS] = {NULL};
    unsigned int busy = 0;
    int status = 0;
    if (host_attach(&state, state_path()) != STATE_OK)
        return smi_exit_status(NVML_ERROR_DRIVER_NOT_LOADED);
    for (unsigned int i = 0; i < gpus->count; i++)
        results[smi_index(gpus->devices[i])] = RESET_WANTED;
    host_reset_gpus(&state, results, reasons);
    state_close(&state);
    if (lacks_peers(results))
        return smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
    bool together = false;
    for (unsigned int i = 0; i < gpus->count; i++) {
        const char *bus_id = smi_bus_id(gpus->devices[i]);
        const char *reason = reasons[smi_index(gpus->devices[i])];
        enum reset_result result = results[smi_index(gpus->devices[i])];
        together = together || result == RESET_DONE_TOGETHER;
        if (result == RESET_DONE || result == RESET_DONE_TOGETHER) {
            printf("GPU %s was successfully reset.\n", bus_id);
        } else if (!reason) {
            continue; /* its peer cannot be reset, and is named */
        } else if (strcmp(reason, nvmlErrorString(NVML_ERROR_NOT_SUPPORTED)) == 0) {
            printf("Resetting GPU %s is not supported.\n", bus_id);
            status = smi_exit_status(NVML_ERROR_NOT_SUPPORTED);
        } else {
            if (!status)
                printf("The following GPUs could not be reset:\n");
            printf("  GPU %s: %s\n", bus_id, reason);
            bool in_use = strcmp(reason, nvmlErrorString(NVML_ERROR_IN_USE)) == 0;
            busy += in_use;
            status = smi_exit_status(in_use ? NVML_ERROR_IN_USE : NVML_ERROR_NO_PERMISSION);
        }
    }
    if (together)
        printf("\nNote: The operation has successfully reset all GPUs and NVSwitches. If the services, such as "
               "nvidia-fabricmanager, which manage or monitor NVSwitches are running, they might have been affected by "
               "this operation. Please refer respective service status or logs for details.\n");
    if (busy)
        printf("\n%u %s currently being used by one or more other processes (e.g., Fabric Manager, CUDA application, "
               "graphics application such as an X server, or a monitoring application such as another instance of "
               "nvidia-smi). Please first kill all processes using %s and all compute applications running in the "
               "system.\n",
               busy, busy == 1 ? "device is" : "devices are", busy == 1 ? "this device" : "these devices");
    return status ? status : all_done();
}
