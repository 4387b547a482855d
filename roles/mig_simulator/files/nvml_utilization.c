/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How busy a GPU is. With MIG on NVML says so of no GPU and of no MIG device. */
#include "answers.h"
#include "clients.h"
#include "sensors.h"


enum { BUSY = 97, MEMORY_BUSY = 41 }; /* percent, of a GPU at work */

GPU_NUMBER_IF(nvmlDeviceGetUtilizationRates, nvmlUtilization_t, utilization, !d.gpu->mig_mode,
              (gpu_works(&d) ? (nvmlUtilization_t){BUSY, MEMORY_BUSY} : (nvmlUtilization_t){0, 0}))

/* No simulated process uses a media engine. */
#define MEDIA_ENGINE(name)                                                                                            \
    NVML(name, (nvmlDevice_t device, unsigned *utilization, unsigned *samplingPeriodUs),                              \
         (device, utilization, samplingPeriodUs))                                                                     \
    {                                                                                                                 \
        GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                     \
        if (!utilization || !samplingPeriodUs)                                                                        \
            return NVML_ERROR_INVALID_ARGUMENT;                                                                       \
        if (d.gpu->mig_mode)                                                                                          \
            return NVML_ERROR_NOT_SUPPORTED;                                                                          \
        *utilization = 0;                                                                                             \
        *samplingPeriodUs = 167000;                                                                                   \
        return NVML_SUCCESS;                                                                                          \
    }

MEDIA_ENGINE(nvmlDeviceGetEncoderUtilization)
MEDIA_ENGINE(nvmlDeviceGetDecoderUtilization)
MEDIA_ENGINE(nvmlDeviceGetJpgUtilization)
MEDIA_ENGINE(nvmlDeviceGetOfaUtilization)

NVML(nvmlDeviceGetEncoderStats,
     (nvmlDevice_t device, unsigned *sessionCount, unsigned *averageFps, unsigned *averageLatency),
     (device, sessionCount, averageFps, averageLatency))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!sessionCount || !averageFps || !averageLatency)
        return NVML_ERROR_INVALID_ARGUMENT;
    *sessionCount = *averageFps = *averageLatency = 0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetEncoderSessions,
     (nvmlDevice_t device, unsigned *sessionCount, nvmlEncoderSessionInfo_t *sessionInfos),
     (device, sessionCount, sessionInfos))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    (void)sessionInfos;
    if (!sessionCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *sessionCount = 0;
    return NVML_SUCCESS;
}

GPU_NUMBER(nvmlDeviceGetFBCStats, nvmlFBCStats_t, fbcStats, ((nvmlFBCStats_t){0, 0, 0}))

NVML(nvmlDeviceGetFBCSessions, (nvmlDevice_t device, unsigned *sessionCount, nvmlFBCSessionInfo_t *sessionInfo),
     (device, sessionCount, sessionInfo))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    (void)sessionInfo;
    if (!sessionCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    *sessionCount = 0;
    return NVML_SUCCESS;
}

/* ---- By process ---- */

/* The live processes on a whole GPU, at most MAX_CLIENTS; returns how many. */
static unsigned processes_of(const struct device *d, unsigned pids[MAX_CLIENTS])
{
    unsigned count = 0;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &host->clients[i];
        if (client->pid && client->type != HOLDER && client->gpu == d->index && client_alive(client))
            pids[count++] = (unsigned)client->pid;
    }
    return count;
}

NVML(nvmlDeviceGetProcessUtilization,
     (nvmlDevice_t device, nvmlProcessUtilizationSample_t *utilization, unsigned *processSamplesCount,
      unsigned long long lastSeenTimeStamp),
     (device, utilization, processSamplesCount, lastSeenTimeStamp))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    unsigned pids[MAX_CLIENTS];
    unsigned long long now = now_microseconds();
    if (!processSamplesCount)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = *processSamplesCount, count = processes_of(&d, pids);
    *processSamplesCount = count;
    if (!count || lastSeenTimeStamp >= now)
        return NVML_ERROR_NOT_FOUND;
    if (!utilization || room < count)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < count; i++)
        utilization[i] = (nvmlProcessUtilizationSample_t){
            .pid = pids[i], .timeStamp = now, .smUtil = BUSY / count, .memUtil = MEMORY_BUSY / count};
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetProcessesUtilizationInfo, (nvmlDevice_t device, nvmlProcessesUtilizationInfo_v1_t *info),
     (device, info))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    unsigned pids[MAX_CLIENTS];
    unsigned long long now = now_microseconds();
    if (!info)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (info->version != NVML_STRUCT_VERSION(ProcessesUtilizationInfo, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (d.gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = info->processSamplesCount, count = processes_of(&d, pids);
    info->processSamplesCount = count;
    if (!count || info->lastSeenTimeStamp >= now)
        return NVML_ERROR_NOT_FOUND;
    if (!info->procUtilArray || room < count)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < count; i++)
        info->procUtilArray[i] = (nvmlProcessUtilizationInfo_v1_t){
            .pid = pids[i], .timeStamp = now, .smUtil = BUSY / count, .memUtil = MEMORY_BUSY / count};
    return NVML_SUCCESS;
}

/* ---- Accounting: off with MIG; nothing is recorded ---- */

GPU_NUMBER(nvmlDeviceGetAccountingMode, nvmlEnableState_t, mode,
           d.gpu->settings.accounting && !d.gpu->mig_mode ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED)
GPU_NUMBER(nvmlDeviceGetAccountingBufferSize, unsigned, bufferSize, 4000)

NVML(nvmlDeviceSetAccountingMode, (nvmlDevice_t device, nvmlEnableState_t mode), (device, mode))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (mode != NVML_FEATURE_ENABLED && mode != NVML_FEATURE_DISABLED)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    draft->gpus[d.index].settings.accounting = mode == NVML_FEATURE_ENABLED;
    return change_commit();
}

NVML(nvmlDeviceGetAccountingPids, (nvmlDevice_t device, unsigned *count, unsigned *pids), (device, count, pids))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    (void)pids;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetAccountingStats, (nvmlDevice_t device, unsigned pid, nvmlAccountingStats_t *stats),
     (device, pid, stats))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    (void)pid;
    return stats ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceClearAccountingPids, (nvmlDevice_t device), (device))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return caller_is_admin() ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}
