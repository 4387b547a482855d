/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "sensors.h"

#include "clients.h"

#include <time.h>

bool gpu_works(const struct device *device)
{
    return gpu_computes(host, device->index);
}

unsigned device_memory(const struct device *device)
{
    if (!device->gpu_instance)
        return device->model->memory_mib;
    return device->profile->memory_mib + (device->gpu->strange[DEVICE_MEMORY] ? 128 : 0);
}

unsigned gpu_power_limit(const struct device *device)
{
    unsigned set = device->gpu->settings.power_limit;
    return set ? set : device->model->board.power_max * 1000;
}

unsigned gpu_power(const struct device *device)
{
    unsigned idle = device->model->board.power_idle * 1000;
    unsigned working = device->model->board.power_max * 600, limit = gpu_power_limit(device);
    if (!gpu_works(device))
        return idle;
    return working < limit ? working : limit;
}

unsigned gpu_temperature(const struct device *device)
{
    return device->model->board.temperature_idle + (gpu_works(device) ? 25 : 0);
}

unsigned gpu_clock(const struct device *device, nvmlClockType_t type)
{
    const struct board *board = &device->model->board;
    const struct settings *settings = &device->gpu->settings;
    bool works = gpu_works(device);
    unsigned asked, most;
    switch (type) {
    case NVML_CLOCK_MEM:
        asked = settings->application_memory ? settings->application_memory : board->clock_memory;
        most = settings->locked_memory ? settings->locked_memory : asked;
        return works ? (asked < most ? asked : most) : board->clock_memory_idle;
    case NVML_CLOCK_VIDEO:
        return works ? board->clock_video : board->clock_video / 2;
    default:
        asked = settings->application_graphics ? settings->application_graphics : board->clock_graphics;
        most = settings->locked_graphics ? settings->locked_graphics : asked;
        return works ? (asked < most ? asked : most) : board->clock_graphics_idle;
    }
}

unsigned long long gpu_energy(const struct device *device)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (unsigned long long)up.tv_sec * device->model->board.power_idle * 1000;
}

unsigned long long now_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}
