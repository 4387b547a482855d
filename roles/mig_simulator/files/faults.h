/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Faults that were ordered for NVML calls. */
#ifndef FAULTS_H
#define FAULTS_H

#include "functions.h"
#include "state.h"

struct strike {
    enum fault_action action; /* FAULT_NONE: the call goes on as ever */
    uint32_t value;
    unsigned delay; /* milliseconds to wait before anything else */
};

/* Count this call with every fault that watches the function and say what strikes it. */
struct strike fault_strike(const struct host *in, struct counters *counters, enum function function);

#endif
