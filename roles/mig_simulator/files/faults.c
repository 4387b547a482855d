/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "faults.h"

struct strike fault_strike(const struct host *in, struct counters *counters, enum function function)
{
    struct strike strike = {FAULT_NONE, 0, 0};
    for (unsigned i = 0; i < MAX_FAULTS; i++) {
        const struct fault *fault = &in->faults[i];
        if (fault->action == FAULT_NONE || (fault->function != function && fault->function != ANY_FUNCTION))
            continue;
        uint64_t call = atomic_fetch_add(&counters->fault_calls[i], 1) + 1;
        if (call < fault->first || (fault->times && call >= (uint64_t)fault->first + fault->times))
            continue;
        if (fault->action == FAULT_DELAY) {
            strike.delay += fault->value;
        } else if (strike.action == FAULT_NONE) {
            strike.action = fault->action;
            strike.value = fault->value;
        }
    }
    return strike;
}
