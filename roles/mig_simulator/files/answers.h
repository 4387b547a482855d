/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Functions that give one number of a GPU, in one line each. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "session.h"

/* `expression` is the number, of the GPU in d; MIG devices have none of their own. */
#define GPU_NUMBER(name, type, value, expression)                                                                     \
    NVML(name, (nvmlDevice_t device, type *value), (device, value))                                                   \
    {                                                                                                                 \
        GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                     \
        if (!value)                                                                                                   \
            return NVML_ERROR_INVALID_ARGUMENT;                                                                       \
        *value = expression;                                                                                          \
        return NVML_SUCCESS;                                                                                          \
    }

/* The same for a number that the GPU has only where `condition` holds. */
#define GPU_NUMBER_IF(name, type, value, condition, expression)                                                       \
    NVML(name, (nvmlDevice_t device, type *value), (device, value))                                                   \
    {                                                                                                                 \
        GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                     \
        if (!value)                                                                                                   \
            return NVML_ERROR_INVALID_ARGUMENT;                                                                       \
        if (!(condition))                                                                                             \
            return NVML_ERROR_NOT_SUPPORTED;                                                                          \
        *value = expression;                                                                                          \
        return NVML_SUCCESS;                                                                                          \
    }

/* A text of the GPU. */
#define GPU_TEXT(name, text)                                                                                          \
    NVML(name, (nvmlDevice_t device, char *buffer, unsigned length), (device, buffer, length))                        \
    {                                                                                                                 \
        GPU(d, device, NVML_ERROR_NOT_SUPPORTED);                                                                     \
        return give_text(buffer, length, text);                                                                       \
    }

#endif
