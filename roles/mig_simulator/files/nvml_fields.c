/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * nvmlDeviceGetFieldValues: many facts by number, most of which have a function of their own too. */
#include "host.h"
#include "sensors.h"

/* A field's value in `field`, or the code that says why there is none. */
static nvmlReturn_t read_field(const struct device *d, nvmlFieldValue_t *field)
{
    const struct board *board = &d->model->board;
    nvmlValue_t *value = &field->value;
    bool resetless = d->model->architecture != AMPERE;
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    switch (field->fieldId) {
    case NVML_FI_DEV_ECC_CURRENT:
    case NVML_FI_DEV_ECC_PENDING:
        value->uiVal = 1;
        return NVML_SUCCESS;
    case NVML_FI_DEV_ECC_SBE_VOL_TOTAL:
    case NVML_FI_DEV_ECC_DBE_VOL_TOTAL:
    case NVML_FI_DEV_ECC_SBE_AGG_TOTAL:
    case NVML_FI_DEV_ECC_DBE_AGG_TOTAL:
        field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        value->ullVal = 0;
        return NVML_SUCCESS;
    case NVML_FI_DEV_REMAPPED_COR:
    case NVML_FI_DEV_REMAPPED_UNC:
    case NVML_FI_DEV_REMAPPED_PENDING:
    case NVML_FI_DEV_REMAPPED_FAILURE:
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER:
    case NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER:
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION:
        value->uiVal = 0;
        return NVML_SUCCESS;
    case NVML_FI_DEV_MEMORY_TEMP:
        value->uiVal = gpu_temperature(d) + 8;
        return NVML_SUCCESS;
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
    case NVML_FI_DEV_ENERGY:
        field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        value->ullVal = gpu_energy(d);
        return NVML_SUCCESS;
    case NVML_FI_DEV_NVLINK_LINK_COUNT:
    case NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT:
        value->uiVal = board->nvlinks;
        return NVML_SUCCESS;
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT:
        value->uiVal = gpu_power(d);
        return NVML_SUCCESS;
    case NVML_FI_DEV_POWER_MIN_LIMIT:
        value->uiVal = board->power_min * 1000;
        return NVML_SUCCESS;
    case NVML_FI_DEV_POWER_MAX_LIMIT:
    case NVML_FI_DEV_POWER_DEFAULT_LIMIT:
        value->uiVal = board->power_max * 1000;
        return NVML_SUCCESS;
    case NVML_FI_DEV_POWER_CURRENT_LIMIT:
    case NVML_FI_DEV_POWER_REQUESTED_LIMIT:
        value->uiVal = gpu_power_limit(d);
        return NVML_SUCCESS;
    case NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED:
        if (!d->model->memory_slices)
            return NVML_ERROR_NOT_SUPPORTED;
        value->uiVal = resetless;
        return NVML_SUCCESS;
    case NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE:
        if (!d->model->memory_slices)
            return NVML_ERROR_NOT_SUPPORTED;
        value->uiVal = host_tells_profiles(host, d->gpu);
        return NVML_SUCCESS;
    default:
        return NVML_ERROR_NOT_SUPPORTED;
    }
}

static nvmlReturn_t read_fields(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    struct device d;
    if (!find_device(device, &d))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (d.gpu_instance)
        return NVML_ERROR_NOT_SUPPORTED;
    for (int i = 0; i < count; i++) {
        values[i].timestamp = (long long)now_microseconds();
        values[i].latencyUsec = 0;
        values[i].nvmlReturn = read_field(&d, &values[i]);
    }
    return NVML_SUCCESS;
}

/* Every entry gets its own code, also where the call as a whole fails: clients look at nothing else. Hence not NVML(),
 * whose body does not run then. */
EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values)
{
    nvmlReturn_t answer = NVML_ERROR_INVALID_ARGUMENT;
    bool lists = values && valuesCount > 0;
    if (call_begin(FUNCTION_nvmlDeviceGetFieldValues, &answer))
        answer = call_end(lists ? read_fields(device, valuesCount, values) : NVML_ERROR_INVALID_ARGUMENT);
    for (int i = 0; lists && answer != NVML_SUCCESS && i < valuesCount; i++)
        values[i].nvmlReturn = answer;
    return answer;
}

/* Nothing to clear: what counts up here is 0. */
NVML(nvmlDeviceClearFieldValues, (nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values),
     (device, valuesCount, values))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!values || valuesCount <= 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < valuesCount; i++)
        values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
    return NVML_SUCCESS;
}
