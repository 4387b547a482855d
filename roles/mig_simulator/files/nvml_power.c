/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Power, energy, temperature, limits reached, and samples of them. MIG devices have no sensors of their own. */
#include "answers.h"
#include "sensors.h"

GPU_NUMBER(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, mode, NVML_FEATURE_ENABLED)
GPU_NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, limit, gpu_power_limit(&d))
GPU_NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, limit, gpu_power_limit(&d))
GPU_NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, limit, d.model->board.power_max * 1000)
GPU_NUMBER(nvmlDeviceGetPowerUsage, unsigned, power, gpu_power(&d))
GPU_NUMBER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, energy, gpu_energy(&d))
GPU_NUMBER(nvmlDeviceGetPowerSource, nvmlPowerSource_t, source, NVML_POWER_SOURCE_AC)
GPU_NUMBER(nvmlDeviceGetNumFans, unsigned, fans, 0)

NVML(nvmlDeviceGetPowerManagementLimitConstraints, (nvmlDevice_t device, unsigned *minLimit, unsigned *maxLimit),
     (device, minLimit, maxLimit))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!minLimit || !maxLimit)
        return NVML_ERROR_INVALID_ARGUMENT;
    *minLimit = d.model->board.power_min * 1000;
    *maxLimit = d.model->board.power_max * 1000;
    return NVML_SUCCESS;
}

static nvmlReturn_t set_power_limit(nvmlDevice_t device, unsigned milliwatts)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    if (milliwatts < d.model->board.power_min * 1000 || milliwatts > d.model->board.power_max * 1000)
        return NVML_ERROR_INVALID_ARGUMENT;
    CHANGE(draft);
    draft->gpus[d.index].settings.power_limit = milliwatts;
    return change_commit();
}

NVML(nvmlDeviceSetPowerManagementLimit, (nvmlDevice_t device, unsigned limit), (device, limit))
{
    return set_power_limit(device, limit);
}

NVML(nvmlDeviceSetPowerManagementLimit_v2, (nvmlDevice_t device, nvmlPowerValue_v2_t *powerValue),
     (device, powerValue))
{
    if (!powerValue)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (powerValue->version != NVML_STRUCT_VERSION(PowerValue, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    return powerValue->powerScope ? NVML_ERROR_NOT_SUPPORTED : set_power_limit(device, powerValue->powerValueMw);
}

NVML(nvmlDeviceGetTemperature, (nvmlDevice_t device, nvmlTemperatureSensors_t sensorType, unsigned *temp),
     (device, sensorType, temp))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!temp || sensorType != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    *temp = gpu_temperature(&d);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetTemperatureV, (nvmlDevice_t device, nvmlTemperature_v1_t *temperature), (device, temperature))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!temperature)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (temperature->version != NVML_STRUCT_VERSION(Temperature, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (temperature->sensorType != NVML_TEMPERATURE_GPU)
        return NVML_ERROR_INVALID_ARGUMENT;
    temperature->temperature = (int)gpu_temperature(&d);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMarginTemperature, (nvmlDevice_t device, nvmlMarginTemperature_v1_t *margin), (device, margin))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!margin)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (margin->version != NVML_STRUCT_VERSION(MarginTemperature, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    margin->marginTemperature = (int)d.model->board.temperature_gpu_max - (int)gpu_temperature(&d);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetTemperatureThreshold,
     (nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType, unsigned *temp), (device, thresholdType, temp))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    const struct board *board = &d.model->board;
    if (!temp || (unsigned)thresholdType >= NVML_TEMPERATURE_THRESHOLD_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    switch (thresholdType) {
    case NVML_TEMPERATURE_THRESHOLD_SHUTDOWN:
        *temp = board->temperature_shutdown;
        return NVML_SUCCESS;
    case NVML_TEMPERATURE_THRESHOLD_SLOWDOWN:
        *temp = board->temperature_slowdown;
        return NVML_SUCCESS;
    case NVML_TEMPERATURE_THRESHOLD_MEM_MAX:
        *temp = board->temperature_memory_max;
        return NVML_SUCCESS;
    case NVML_TEMPERATURE_THRESHOLD_GPU_MAX:
        *temp = board->temperature_gpu_max;
        return NVML_SUCCESS;
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

NVML(nvmlDeviceGetViolationStatus,
     (nvmlDevice_t device, nvmlPerfPolicyType_t perfPolicyType, nvmlViolationTime_t *violTime),
     (device, perfPolicyType, violTime))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!violTime || (unsigned)perfPolicyType >= NVML_PERF_POLICY_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *violTime = (nvmlViolationTime_t){.referenceTime = now_microseconds()};
    return NVML_SUCCESS;
}

/* One sample, of now: NOT_FOUND for who has seen it. Utilisation has none where MIG is on. */
NVML(nvmlDeviceGetSamples,
     (nvmlDevice_t device, nvmlSamplingType_t type, unsigned long long lastSeenTimeStamp,
      nvmlValueType_t *sampleValType, unsigned *sampleCount, nvmlSample_t *samples),
     (device, type, lastSeenTimeStamp, sampleValType, sampleCount, samples))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    nvmlSample_t sample = {.timeStamp = now_microseconds()};
    if (!sampleValType || !sampleCount || (unsigned)type >= NVML_SAMPLINGTYPE_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    switch (type) {
    case NVML_TOTAL_POWER_SAMPLES:
        sample.sampleValue.uiVal = gpu_power(&d);
        break;
    case NVML_GPU_UTILIZATION_SAMPLES:
    case NVML_MEMORY_UTILIZATION_SAMPLES:
    case NVML_ENC_UTILIZATION_SAMPLES:
    case NVML_DEC_UTILIZATION_SAMPLES:
        if (d.gpu->mig_mode)
            return NVML_ERROR_NOT_SUPPORTED;
        sample.sampleValue.uiVal = type == NVML_GPU_UTILIZATION_SAMPLES && gpu_works(&d) ? 97 : 0;
        break;
    case NVML_PROCESSOR_CLK_SAMPLES:
        sample.sampleValue.uiVal = gpu_clock(&d, NVML_CLOCK_SM);
        break;
    case NVML_MEMORY_CLK_SAMPLES:
        sample.sampleValue.uiVal = gpu_clock(&d, NVML_CLOCK_MEM);
        break;
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
    if (lastSeenTimeStamp >= sample.timeStamp)
        return NVML_ERROR_NOT_FOUND;
    *sampleValType = NVML_VALUE_TYPE_UNSIGNED_INT;
    if (samples && !*sampleCount)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    *sampleCount = 1;
    if (samples)
        *samples = sample;
    return NVML_SUCCESS;
}
