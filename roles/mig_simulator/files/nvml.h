/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The public interface of libnvidia-ml.so.1: return codes, constants, structs and functions, binary compatible with
 * NVIDIA's nvml.h (tests/simulator compares every struct and constant with nvidia-ml-py). Unlike there, no name is
 * mapped to its newest version: nvmlInit and nvmlInit_v2 are two functions here, and a program says which it means.
 * The functions of nvml_unsupported.h are exported too, without a prototype. */
#ifndef NVML_H
#define NVML_H

#include "nvml_constants.h"
#include "nvml_mig.h"
#include "nvml_structs.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *nvmlErrorString(nvmlReturn_t result);

#define NVML_FUNCTION(since, name, parameters) nvmlReturn_t name parameters;
#include "nvml_functions.h"
#undef NVML_FUNCTION

#ifdef __cplusplus
}
#endif

#endif
