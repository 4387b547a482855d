/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The GPU models: catalogue.yml as a C table (generate_catalogue.py writes it), and the driver branches. */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include <stdint.h>

enum architecture { AMPERE, ADA, HOPPER, BLACKWELL };

struct profile {       /* a GPU instance profile */
    const char *name;  /* 1g.5gb+me */
    unsigned id;       /* what nvmlDeviceCreateGpuInstance takes */
    unsigned index;    /* NVML_GPU_INSTANCE_PROFILE_* */
    unsigned since;    /* first driver branch that has it */
    unsigned max;      /* instances of it on one GPU */
    unsigned memory_mib;
    unsigned multiprocessors;
    unsigned copy_engines, decoders, encoders, jpeg_engines, ofa_engines;
    unsigned slices;   /* compute slices: the g of its name */
    unsigned size;     /* memory slices a placement takes */
    unsigned start_count;
    unsigned char starts[12];
};

struct board { /* what NVML tells of a model besides MIG */
    const char *part_number, *vbios;
    int capability_major, capability_minor; /* CUDA compute capability */
    unsigned cuda_cores, memory_bus_bits, bar1_mib, pcie_generation;
    unsigned nvlinks; /* to NVSwitches or other GPUs; 0: none */
    unsigned power_idle, power_min, power_max; /* W */
    unsigned clock_graphics, clock_graphics_idle, clock_memory, clock_memory_idle, clock_video; /* MHz */
    unsigned temperature_idle, temperature_gpu_max, temperature_memory_max, temperature_slowdown;
    unsigned temperature_shutdown; /* degrees Celsius */
};

struct model {
    const char *name;    /* H100-SXM5-80GB */
    const char *product; /* NVIDIA H100 80GB HBM3 */
    const char *minimum_driver;
    unsigned pci_device_id;
    enum architecture architecture;
    unsigned memory_mib;
    unsigned memory_slices, compute_slices; /* 0: no MIG */
    unsigned profile_count;
    const struct profile *profiles;
    struct board board;
};

extern const struct model models[];
extern const unsigned model_count;

/* Changes with everything that decides the layout or the meaning of a state file. */
extern const uint64_t build_identity;

struct driver_branch {
    unsigned branch;
    unsigned cuda;                 /* newest CUDA version it supports, as NVML gives it: 11040 is 11.4 */
    unsigned gpu_profile_count;    /* NVML_GPU_INSTANCE_PROFILE_COUNT of its header */
    unsigned compute_profile_count;
};

/* The newest known branch that is not newer than `branch`; NULL before R450, the first with MIG. */
const struct driver_branch *driver_branch(unsigned branch);

const struct model *model_by_name(const char *name); /* NULL: none */

#endif
