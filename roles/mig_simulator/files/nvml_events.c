/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Event sets. Simulated GPUs are healthy, so waiting ends at the timeout. */
#include "objects.h"

#include <time.h>

static const unsigned long long supported_events =
    nvmlEventTypeSingleBitEccError | nvmlEventTypeDoubleBitEccError | nvmlEventTypePState |
    nvmlEventTypeXidCriticalError | nvmlEventTypeClock | nvmlEventMigConfigChange;

NVML(nvmlEventSetCreate, (nvmlEventSet_t *set), (set))
{
    uintptr_t handle;
    if (!set)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!object_make(EVENT_SET, &handle))
        return NVML_ERROR_MEMORY;
    *set = (nvmlEventSet_t)handle;
    return NVML_SUCCESS;
}

NVML(nvmlEventSetFree, (nvmlEventSet_t set), (set))
{
    struct object *object = object_find(EVENT_SET, set);
    if (!object)
        return NVML_ERROR_INVALID_ARGUMENT;
    object_free(object);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetSupportedEventTypes, (nvmlDevice_t device, unsigned long long *eventTypes), (device, eventTypes))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!eventTypes)
        return NVML_ERROR_INVALID_ARGUMENT;
    *eventTypes = supported_events;
    return NVML_SUCCESS;
}

/* Events are those of whole GPUs. */
NVML(nvmlDeviceRegisterEvents, (nvmlDevice_t device, unsigned long long eventTypes, nvmlEventSet_t set),
     (device, eventTypes, set))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!object_find(EVENT_SET, set))
        return NVML_ERROR_INVALID_ARGUMENT;
    return eventTypes & ~supported_events ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

static nvmlReturn_t wait_for_event(nvmlEventSet_t set, const void *data, unsigned milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    if (!data || !object_find(EVENT_SET, set))
        return NVML_ERROR_INVALID_ARGUMENT;
    session_unlock();
    while (nanosleep(&left, &left))
        ;
    return session_lock() ? NVML_ERROR_TIMEOUT : NVML_ERROR_UNINITIALIZED;
}

NVML(nvmlEventSetWait, (nvmlEventSet_t set, nvmlEventData_v1_t *data, unsigned timeoutms), (set, data, timeoutms))
{
    return wait_for_event(set, data, timeoutms);
}

NVML(nvmlEventSetWait_v2, (nvmlEventSet_t set, nvmlEventData_t *data, unsigned timeoutms), (set, data, timeoutms))
{
    return wait_for_event(set, data, timeoutms);
}
