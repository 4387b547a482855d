/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a GPU's sensors read: the idle values of its model, or those of one at work while a process uses it. Steady: the
 * same question has the same answer until a process comes or goes. */
#ifndef SENSORS_H
#define SENSORS_H

#include "session.h"

/* Whether a live process computes or draws on the GPU or one of its MIG devices. */
bool gpu_works(const struct device *device);

/* MiB of the GPU, or that its GPU instance's profile gives a MIG device, and perhaps more. */
unsigned device_memory(const struct device *device);

unsigned gpu_power_limit(const struct device *device); /* mW */
unsigned gpu_power(const struct device *device);       /* mW */
unsigned gpu_temperature(const struct device *device); /* degrees Celsius */
unsigned gpu_clock(const struct device *device, nvmlClockType_t type); /* MHz */
/* Millijoules since the machine started. It never falls, so what idling takes is counted only. */
unsigned long long gpu_energy(const struct device *device);

/* Microseconds since 1970, as NVML stamps its samples. */
unsigned long long now_microseconds(void);

#endif
