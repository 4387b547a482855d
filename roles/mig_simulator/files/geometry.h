/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What fits where: profiles, placements and capacity of GPU instances on a GPU and of compute instances in a GPU
 * instance. Pure functions over the catalogue and what is there. */
#ifndef GEOMETRY_H
#define GEOMETRY_H

#include "state.h"

/* The model of a GPU, as it tells of itself. */
const struct model *gpu_model(const struct gpu *gpu);

/* The profile of a model by NVML_GPU_INSTANCE_PROFILE_* index or by id, as far as the driver branch has it, or NULL. */
const struct profile *profile_by_index(const struct model *model, unsigned index, unsigned branch);
const struct profile *profile_by_id(const struct model *model, unsigned id, unsigned branch);

/* Whether a GPU instance of the profile can be created at that memory slice now. */
bool gpu_instance_fits(const struct gpu *gpu, const struct profile *profile, unsigned start, unsigned branch);

/* How many more GPU instances of the profile can be created, or are said to be. */
unsigned gpu_instance_capacity(const struct gpu *gpu, const struct profile *profile, unsigned branch);

/* Where the driver puts a GPU instance when nobody says: the first memory slice, or -1 where none fits. */
int gpu_instance_choice(const struct gpu *gpu, const struct profile *profile, unsigned branch);

/* The GPU instance id for that placement, in the profile's size class: whole GPU 0, half 1-2, quarter 3-6, eighth 7-14.
 * -1: none is free. */
int gpu_instance_new_id(const struct gpu *gpu, const struct profile *profile, unsigned start);

struct compute_profile {
    unsigned id; /* and NVML_COMPUTE_INSTANCE_PROFILE_* index */
    unsigned slices;
    unsigned size; /* of its placements, in slices or eighths */
    unsigned max; /* instances of it in one GPU instance */
    unsigned multiprocessors;
    bool spans; /* the whole GPU instance */
    unsigned start_count;
    unsigned char starts[MAX_COMPUTE_INSTANCES];
};

/* The compute instance profile of this id in GPU instances of a profile of the GPU; false: it has none such. */
bool compute_profile_by_id(const struct gpu *gpu, const struct profile *profile, unsigned id,
                           struct compute_profile *compute);

/* 1c.3g.20gb, or 3g.20gb where it spans the GPU instance. */
void compute_profile_name(char *text, size_t length, const struct gpu *gpu, const struct profile *profile,
                          const struct compute_profile *compute);

/* Whether one fits there now, and where the driver puts one when nobody says: -1 where none fits. */
bool compute_instance_fits(const struct gpu *gpu, const struct gpu_instance *instance,
                           const struct compute_profile *compute, unsigned start);
int compute_instance_choice(const struct gpu *gpu, const struct gpu_instance *instance,
                            const struct compute_profile *compute);

/* How many more can be created, or are said to be. */
unsigned compute_instance_capacity(const struct gpu *gpu, const struct gpu_instance *instance,
                                   const struct compute_profile *compute);

/* Whether the span reaches over what is there, and whether it is none of the profile's placements. */
bool compute_place_taken(const struct gpu_instance *instance, unsigned start, unsigned size);
bool compute_place_exists(const struct compute_profile *compute, unsigned start, unsigned size);

#endif
