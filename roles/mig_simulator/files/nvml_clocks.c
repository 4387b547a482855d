/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Clocks and performance states. MIG devices have no clocks of their own. */
#include "sensors.h"

#define STEP 15u /* MHz between supported graphics clocks */

static const unsigned lowest_graphics_clock = 210;

static bool clock_type(nvmlClockType_t type)
{
    return (unsigned)type < NVML_CLOCK_COUNT;
}

/* The highest clock of a type. */
static unsigned ceiling(const struct device *d, nvmlClockType_t type)
{
    const struct board *board = &d->model->board;
    return type == NVML_CLOCK_MEM ? board->clock_memory : type == NVML_CLOCK_VIDEO ? board->clock_video
                                                                                   : board->clock_graphics;
}

/* The clock that applications ask for, as set or by default; only graphics and memory have one. */
static nvmlReturn_t applications_clock(const struct device *d, nvmlClockType_t type, bool set, unsigned *clock)
{
    const struct settings *settings = &d->gpu->settings;
    if (!clock || !clock_type(type))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (type == NVML_CLOCK_VIDEO)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned chosen = type == NVML_CLOCK_MEM ? settings->application_memory : settings->application_graphics;
    *clock = set && chosen ? chosen : ceiling(d, type);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetClockInfo, (nvmlDevice_t device, nvmlClockType_t type, unsigned *clock), (device, type, clock))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!clock || !clock_type(type))
        return NVML_ERROR_INVALID_ARGUMENT;
    *clock = gpu_clock(&d, type);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMaxClockInfo, (nvmlDevice_t device, nvmlClockType_t type, unsigned *clock), (device, type, clock))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!clock || !clock_type(type))
        return NVML_ERROR_INVALID_ARGUMENT;
    *clock = ceiling(&d, type);
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetApplicationsClock, (nvmlDevice_t device, nvmlClockType_t clockType, unsigned *clockMHz),
     (device, clockType, clockMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return applications_clock(&d, clockType, true, clockMHz);
}

NVML(nvmlDeviceGetDefaultApplicationsClock, (nvmlDevice_t device, nvmlClockType_t clockType, unsigned *clockMHz),
     (device, clockType, clockMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    return applications_clock(&d, clockType, false, clockMHz);
}

NVML(nvmlDeviceGetClock,
     (nvmlDevice_t device, nvmlClockType_t clockType, nvmlClockId_t clockId, unsigned *clockMHz),
     (device, clockType, clockId, clockMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!clockMHz || !clock_type(clockType))
        return NVML_ERROR_INVALID_ARGUMENT;
    switch (clockId) {
    case NVML_CLOCK_ID_CURRENT:
        *clockMHz = gpu_clock(&d, clockType);
        return NVML_SUCCESS;
    case NVML_CLOCK_ID_APP_CLOCK_TARGET:
    case NVML_CLOCK_ID_APP_CLOCK_DEFAULT:
        return applications_clock(&d, clockType, clockId == NVML_CLOCK_ID_APP_CLOCK_TARGET, clockMHz);
    case NVML_CLOCK_ID_CUSTOMER_BOOST_MAX:
        return NVML_ERROR_NOT_SUPPORTED;
    default:
        return NVML_ERROR_INVALID_ARGUMENT;
    }
}

/* Plain lists: NULL or too small an array answers INSUFFICIENT_SIZE with the count. */
NVML(nvmlDeviceGetSupportedMemoryClocks, (nvmlDevice_t device, unsigned *count, unsigned *clocksMHz),
     (device, count, clocksMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    const struct board *board = &d.model->board;
    unsigned there = board->clock_memory_idle < board->clock_memory ? 2 : 1;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    unsigned room = *count;
    *count = there;
    if (!clocksMHz || room < there)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    clocksMHz[0] = board->clock_memory;
    if (there == 2)
        clocksMHz[1] = board->clock_memory_idle;
    return NVML_SUCCESS;
}

static bool supports_memory_clock(const struct device *d, unsigned clock)
{
    return clock == d->model->board.clock_memory || clock == d->model->board.clock_memory_idle;
}

NVML(nvmlDeviceGetSupportedGraphicsClocks,
     (nvmlDevice_t device, unsigned memoryClockMHz, unsigned *count, unsigned *clocksMHz),
     (device, memoryClockMHz, count, clocksMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (!supports_memory_clock(&d, memoryClockMHz))
        return NVML_ERROR_NOT_FOUND;
    unsigned highest = d.model->board.clock_graphics;
    unsigned there = (highest - lowest_graphics_clock) / STEP + 1, room = *count;
    *count = there;
    if (!clocksMHz || room < there)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < there; i++)
        clocksMHz[i] = highest - i * STEP;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceSetApplicationsClocks, (nvmlDevice_t device, unsigned memClockMHz, unsigned graphicsClockMHz),
     (device, memClockMHz, graphicsClockMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    unsigned highest = d.model->board.clock_graphics;
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    if (!supports_memory_clock(&d, memClockMHz) || graphicsClockMHz < lowest_graphics_clock ||
        graphicsClockMHz > highest || (highest - graphicsClockMHz) % STEP)
        return NVML_ERROR_INVALID_ARGUMENT;
    CHANGE(draft);
    draft->gpus[d.index].settings.application_memory = (uint16_t)memClockMHz;
    draft->gpus[d.index].settings.application_graphics = (uint16_t)graphicsClockMHz;
    return change_commit();
}

NVML(nvmlDeviceResetApplicationsClocks, (nvmlDevice_t device), (device))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    CHANGE(draft);
    draft->gpus[d.index].settings.application_memory = draft->gpus[d.index].settings.application_graphics = 0;
    return change_commit();
}

/* Lock the graphics or memory clock below `highest`; 0 unlocks. */
static nvmlReturn_t lock_clock(nvmlDevice_t device, bool memory, unsigned lowest, unsigned highest)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!caller_is_admin())
        return NVML_ERROR_NO_PERMISSION;
    if (lowest > highest || highest > UINT16_MAX)
        return NVML_ERROR_INVALID_ARGUMENT;
    CHANGE(draft);
    struct settings *settings = &draft->gpus[d.index].settings;
    *(memory ? &settings->locked_memory : &settings->locked_graphics) = (uint16_t)highest;
    return change_commit();
}

NVML(nvmlDeviceSetGpuLockedClocks, (nvmlDevice_t device, unsigned minGpuClockMHz, unsigned maxGpuClockMHz),
     (device, minGpuClockMHz, maxGpuClockMHz))
{
    return maxGpuClockMHz ? lock_clock(device, false, minGpuClockMHz, maxGpuClockMHz) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceResetGpuLockedClocks, (nvmlDevice_t device), (device))
{
    return lock_clock(device, false, 0, 0);
}

NVML(nvmlDeviceSetMemoryLockedClocks, (nvmlDevice_t device, unsigned minMemClockMHz, unsigned maxMemClockMHz),
     (device, minMemClockMHz, maxMemClockMHz))
{
    return maxMemClockMHz ? lock_clock(device, true, minMemClockMHz, maxMemClockMHz) : NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceResetMemoryLockedClocks, (nvmlDevice_t device), (device))
{
    return lock_clock(device, true, 0, 0);
}

/* Boards whose memory clock drops when idle rest in P8; the others know P0 only. */
static bool rests(const struct device *d)
{
    return d->model->board.clock_memory_idle < d->model->board.clock_memory;
}

static nvmlReturn_t performance_state(nvmlDevice_t device, nvmlPstates_t *state)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!state)
        return NVML_ERROR_INVALID_ARGUMENT;
    *state = rests(&d) && !gpu_works(&d) ? (nvmlPstates_t)8 : NVML_PSTATE_0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetPerformanceState, (nvmlDevice_t device, nvmlPstates_t *pState), (device, pState))
{
    return performance_state(device, pState);
}

NVML(nvmlDeviceGetPowerState, (nvmlDevice_t device, nvmlPstates_t *pState), (device, pState))
{
    return performance_state(device, pState);
}

/* `size` is in bytes; unused entries are NVML_PSTATE_UNKNOWN. */
NVML(nvmlDeviceGetSupportedPerformanceStates, (nvmlDevice_t device, nvmlPstates_t *pstates, unsigned size),
     (device, pstates, size))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    unsigned room = size / sizeof *pstates, there = rests(&d) ? 2 : 1;
    if (!pstates)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (room < there)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < room && i < NVML_MAX_GPU_PERF_PSTATES; i++)
        pstates[i] = i >= there ? NVML_PSTATE_UNKNOWN : i ? (nvmlPstates_t)8 : NVML_PSTATE_0;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMinMaxClockOfPState,
     (nvmlDevice_t device, nvmlClockType_t type, nvmlPstates_t pstate, unsigned *minClockMHz, unsigned *maxClockMHz),
     (device, type, pstate, minClockMHz, maxClockMHz))
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!minClockMHz || !maxClockMHz || !clock_type(type))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (pstate != NVML_PSTATE_0)
        return NVML_ERROR_NOT_SUPPORTED;
    *maxClockMHz = ceiling(&d, type);
    *minClockMHz = type == NVML_CLOCK_MEM ? *maxClockMHz : lowest_graphics_clock;
    return NVML_SUCCESS;
}

static nvmlReturn_t current_reasons(nvmlDevice_t device, unsigned long long *reasons)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!reasons)
        return NVML_ERROR_INVALID_ARGUMENT;
    *reasons = gpu_works(&d) ? nvmlClocksEventReasonNone : nvmlClocksEventReasonGpuIdle;
    return NVML_SUCCESS;
}

static nvmlReturn_t supported_reasons(nvmlDevice_t device, unsigned long long *reasons)
{
    GPU(d, device, NVML_ERROR_NOT_SUPPORTED);
    if (!reasons)
        return NVML_ERROR_INVALID_ARGUMENT;
    *reasons = nvmlClocksEventReasonGpuIdle | nvmlClocksEventReasonApplicationsClocksSetting |
               nvmlClocksEventReasonSwPowerCap | nvmlClocksThrottleReasonHwSlowdown | nvmlClocksEventReasonSyncBoost |
               nvmlClocksEventReasonSwThermalSlowdown | nvmlClocksThrottleReasonHwThermalSlowdown |
               nvmlClocksThrottleReasonHwPowerBrakeSlowdown | nvmlClocksEventReasonDisplayClockSetting;
    return NVML_SUCCESS;
}

NVML(nvmlDeviceGetCurrentClocksThrottleReasons, (nvmlDevice_t device, unsigned long long *reasons), (device, reasons))
{
    return current_reasons(device, reasons);
}

NVML(nvmlDeviceGetCurrentClocksEventReasons, (nvmlDevice_t device, unsigned long long *reasons), (device, reasons))
{
    return current_reasons(device, reasons);
}

NVML(nvmlDeviceGetSupportedClocksThrottleReasons, (nvmlDevice_t device, unsigned long long *reasons),
     (device, reasons))
{
    return supported_reasons(device, reasons);
}

NVML(nvmlDeviceGetSupportedClocksEventReasons, (nvmlDevice_t device, unsigned long long *reasons), (device, reasons))
{
    return supported_reasons(device, reasons);
}
