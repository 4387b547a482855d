/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The library and the system: error texts, versions. */
#include "session.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

EXPORT const char *nvmlErrorString(nvmlReturn_t result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "Success";
    case NVML_ERROR_UNINITIALIZED:
        return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
        return "Not Supported";
    case NVML_ERROR_NO_PERMISSION:
        return "Insufficient Permissions";
    case NVML_ERROR_ALREADY_INITIALIZED:
        return "Already Initialized";
    case NVML_ERROR_NOT_FOUND:
        return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "Insufficient Size";
    case NVML_ERROR_INSUFFICIENT_POWER:
        return "Insufficient External Power";
    case NVML_ERROR_DRIVER_NOT_LOADED:
        return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT:
        return "Timeout";
    case NVML_ERROR_IRQ_ISSUE:
        return "Interrupt Request Issue";
    case NVML_ERROR_LIBRARY_NOT_FOUND:
        return "NVML Shared Library Not Found";
    case NVML_ERROR_FUNCTION_NOT_FOUND:
        return "Function Not Found";
    case NVML_ERROR_CORRUPTED_INFOROM:
        return "Corrupted infoROM";
    case NVML_ERROR_GPU_IS_LOST:
        return "GPU is lost";
    case NVML_ERROR_RESET_REQUIRED:
        return "GPU requires reset";
    case NVML_ERROR_OPERATING_SYSTEM:
        return "GPU access blocked by the operating system";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "Driver/library version mismatch";
    case NVML_ERROR_IN_USE:
        return "In use by another client";
    case NVML_ERROR_MEMORY:
        return "Insufficient Memory";
    case NVML_ERROR_NO_DATA:
        return "No data";
    case NVML_ERROR_VGPU_ECC_NOT_SUPPORTED:
        return "ECC is not supported on the vGPU host";
    case NVML_ERROR_INSUFFICIENT_RESOURCES:
        return "Insufficient Resources";
    case NVML_ERROR_FREQ_NOT_SUPPORTED:
        return "Requested frequency is not supported";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
        return "Argument version mismatch";
    case NVML_ERROR_DEPRECATED:
        return "Deprecated";
    case NVML_ERROR_NOT_READY:
        return "Not Ready";
    case NVML_ERROR_GPU_NOT_FOUND:
        return "GPU Not Found";
    case NVML_ERROR_INVALID_STATE:
        return "Invalid State";
    case NVML_ERROR_RESET_TYPE_NOT_SUPPORTED:
        return "Reset Type Not Supported";
    case NVML_ERROR_UNKNOWN:
        break;
    }
    return "Unknown Error";
}

NVML(nvmlSystemGetDriverVersion, (char *version, unsigned length), (version, length))
{
    return give_text(version, length, host->driver_version);
}

NVML(nvmlSystemGetNVMLVersion, (char *version, unsigned length), (version, length))
{
    char text[NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE];
    snprintf(text, sizeof text, "%u.%s", driver_branch(host->driver_branch)->cuda / 1000, host->driver_version);
    return give_text(version, length, text);
}

static nvmlReturn_t cuda_version(int *version)
{
    if (!version)
        return NVML_ERROR_INVALID_ARGUMENT;
    *version = (int)driver_branch(host->driver_branch)->cuda;
    return NVML_SUCCESS;
}

NVML(nvmlSystemGetCudaDriverVersion, (int *cudaDriverVersion), (cudaDriverVersion))
{
    return cuda_version(cudaDriverVersion);
}

NVML(nvmlSystemGetCudaDriverVersion_v2, (int *cudaDriverVersion), (cudaDriverVersion))
{
    return cuda_version(cudaDriverVersion);
}

NVML(nvmlSystemGetDriverBranch, (nvmlSystemDriverBranchInfo_v1_t *branchInfo, unsigned length), (branchInfo, length))
{
    if (!branchInfo)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (branchInfo->version != NVML_STRUCT_VERSION(SystemDriverBranchInfo, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    char text[16];
    snprintf(text, sizeof text, "r%u", host->driver_branch);
    return give_text(branchInfo->branch, length < sizeof branchInfo->branch ? length : sizeof branchInfo->branch, text);
}

/* The command line's first word, cut where the buffer ends. */
NVML(nvmlSystemGetProcessName, (unsigned pid, char *name, unsigned length), (pid, name, length))
{
    char text[4096];
    if (!name || !length)
        return NVML_ERROR_INVALID_ARGUMENT;
    snprintf(text, sizeof text, "/proc/%u/cmdline", pid);
    int file = open(text, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    if (size < 0)
        return NVML_ERROR_NOT_FOUND;
    text[size] = 0;
    snprintf(name, length, "%s", text);
    return NVML_SUCCESS;
}
