/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "functions.h"

#include "state.h"

const struct function_info functions[FUNCTION_COUNT] = {
#define NVML_FUNCTION(since, name, parameters) {#name, since},
#define NVML_UNSUPPORTED(since, name) {#name, since},
#include "nvml_functions.h"
#include "nvml_unsupported.h"
#undef NVML_FUNCTION
#undef NVML_UNSUPPORTED
};

_Static_assert((int)FUNCTION_COUNT <= (int)MAX_FUNCTIONS, "the state file has a counter for every function");
