/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The functions of nvml_unsupported.h. They ignore what they are given, so one shape serves them all: a callee without
 * parameters may be called with any (x86-64 and AArch64 psABI: the caller places and removes the arguments). */
#include "session.h"

#define NVML_UNSUPPORTED(since, name)                                                                                 \
    EXPORT nvmlReturn_t name(void);                                                                                   \
    NVML(name, (void), ())                                                                                            \
    {                                                                                                                 \
        return NVML_ERROR_NOT_SUPPORTED;                                                                              \
    }
#include "nvml_unsupported.h"
