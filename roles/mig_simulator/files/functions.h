/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The exported functions by number: FUNCTION_nvmlInit_v2 and so on, for counting calls, faults and old drivers. */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

enum function {
#define NVML_FUNCTION(since, name, parameters) FUNCTION_##name,
#define NVML_UNSUPPORTED(since, name) FUNCTION_##name,
#include "nvml_functions.h"
#include "nvml_unsupported.h"
#undef NVML_FUNCTION
#undef NVML_UNSUPPORTED
    FUNCTION_COUNT
};

struct function_info {
    const char *name;
    unsigned since; /* first driver branch that has it */
};

extern const struct function_info functions[FUNCTION_COUNT];

#endif
