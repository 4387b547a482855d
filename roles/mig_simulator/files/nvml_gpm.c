/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * GPU performance monitoring, of Hopper and later. Of two samples of a GPU or of one of its GPU instances the metrics
 * follow: what it shows at work, or idle. */
#include "clients.h"
#include "objects.h"
#include "sensors.h"

static bool has_gpm(const struct device *d)
{
    return d->model->architecture == HOPPER || d->model->architecture == BLACKWELL;
}

NVML(nvmlGpmQueryDeviceSupport, (nvmlDevice_t device, nvmlGpmSupport_t *gpmSupport), (device, gpmSupport))
{
    DEVICE(d, device);
    if (!gpmSupport)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (gpmSupport->version != NVML_GPM_SUPPORT_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    gpmSupport->isSupportedDevice = has_gpm(&d);
    return NVML_SUCCESS;
}

NVML(nvmlGpmSampleAlloc, (nvmlGpmSample_t *gpmSample), (gpmSample))
{
    uintptr_t handle;
    if (!gpmSample)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!object_make(GPM_SAMPLE, &handle))
        return NVML_ERROR_MEMORY;
    *gpmSample = (nvmlGpmSample_t)handle;
    return NVML_SUCCESS;
}

NVML(nvmlGpmSampleFree, (nvmlGpmSample_t gpmSample), (gpmSample))
{
    struct object *object = object_find(GPM_SAMPLE, gpmSample);
    if (!object)
        return NVML_ERROR_INVALID_ARGUMENT;
    object_free(object);
    return NVML_SUCCESS;
}

static nvmlReturn_t take_sample(const struct device *d, const struct gpu_instance *gpu_instance, nvmlGpmSample_t handle)
{
    struct object *object = object_find(GPM_SAMPLE, handle);
    if (!object)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!has_gpm(d))
        return NVML_ERROR_NOT_SUPPORTED;
    object->taken = true;
    object->gpu = d->index;
    object->gpu_instance = gpu_instance ? gpu_instance->serial : 0;
    return NVML_SUCCESS;
}

NVML(nvmlGpmSampleGet, (nvmlDevice_t device, nvmlGpmSample_t gpmSample), (device, gpmSample))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return take_sample(&d, NULL, gpmSample);
}

NVML(nvmlGpmMigSampleGet, (nvmlDevice_t device, unsigned gpuInstanceId, nvmlGpmSample_t gpmSample),
     (device, gpuInstanceId, gpmSample))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (d.gpu->gpu_instances[i].used && d.gpu->gpu_instances[i].id == gpuInstanceId)
            return take_sample(&d, &d.gpu->gpu_instances[i], gpmSample);
    return NVML_ERROR_INVALID_ARGUMENT;
}

/* Whether a process computes in the GPU instance of this serial. */
static bool instance_works(const struct gpu *gpu, uint32_t serial)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        for (unsigned c = 0; gpu->gpu_instances[i].serial == serial && c < MAX_COMPUTE_INSTANCES; c++)
            if (gpu->gpu_instances[i].compute_instances[c].used &&
                compute_instance_busy(host, gpu->gpu_instances[i].compute_instances[c].serial))
                return true;
    return false;
}

/* The metrics told, NVML_GPM_METRIC_*: percent of the time, when at work. */
static const struct {
    unsigned id;
    const char *short_name, *long_name;
    double at_work;
} metrics[] = {
    {1, "Graphics Util", "Graphics/Compute Utilization", 97},
    {2, "SM Util", "SM Utilization", 93},
    {3, "SM Occupancy", "SM Occupancy", 48},
    {4, "Integer Util", "Integer Activity", 12},
    {5, "Tensor Util", "Tensor Core Activity", 41},
    {10, "DRAM BW Util", "DRAM Bandwidth Utilization", 41},
    {11, "FP64 Util", "FP64 Activity", 0},
    {12, "FP32 Util", "FP32 Activity", 22},
    {13, "FP16 Util", "FP16 Activity", 8},
};

NVML(nvmlGpmMetricsGet, (nvmlGpmMetricsGet_t *metricsGet), (metricsGet))
{
    if (!metricsGet)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (metricsGet->version != NVML_GPM_METRICS_GET_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    const struct object *one = object_find(GPM_SAMPLE, metricsGet->sample1);
    const struct object *other = object_find(GPM_SAMPLE, metricsGet->sample2);
    if (!one || !other || !one->taken || !other->taken || one->gpu != other->gpu ||
        one->gpu_instance != other->gpu_instance || metricsGet->numMetrics > NVML_GPM_METRIC_MAX)
        return NVML_ERROR_INVALID_ARGUMENT;
    struct device d = {.index = one->gpu};
    bool works = one->gpu_instance ? instance_works(&host->gpus[one->gpu], one->gpu_instance) : gpu_works(&d);
    for (unsigned i = 0; i < metricsGet->numMetrics; i++) {
        nvmlGpmMetric_t *metric = &metricsGet->metrics[i];
        metric->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        metric->value = 0;
        for (unsigned m = 0; m < sizeof metrics / sizeof *metrics; m++) {
            if (metrics[m].id != metric->metricId)
                continue;
            metric->nvmlReturn = NVML_SUCCESS;
            metric->value = works ? metrics[m].at_work : 0;
            metric->metricInfo.shortName = (char *)(uintptr_t)metrics[m].short_name;
            metric->metricInfo.longName = (char *)(uintptr_t)metrics[m].long_name;
            metric->metricInfo.unit = (char *)(uintptr_t) "%";
        }
    }
    return NVML_SUCCESS;
}
