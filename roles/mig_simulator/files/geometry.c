/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "geometry.h"

#include "identifiers.h"

#include <stdio.h>

/* The slices start, start + 1, … as bits. */
static uint32_t bits(unsigned start, unsigned size)
{
    return ((1u << size) - 1) << start;
}

const struct profile *profile_by_index(const struct model *model, unsigned index, unsigned branch)
{
    for (unsigned i = 0; i < model->profile_count; i++)
        if (model->profiles[i].index == index && model->profiles[i].since <= branch)
            return &model->profiles[i];
    return NULL;
}

const struct profile *profile_by_id(const struct model *model, unsigned id, unsigned branch)
{
    for (unsigned i = 0; i < model->profile_count; i++)
        if (model->profiles[i].id == id && model->profiles[i].since <= branch)
            return &model->profiles[i];
    return NULL;
}

static const struct profile *profile_of(const struct gpu *gpu, const struct gpu_instance *instance)
{
    return &models[gpu->model].profiles[instance->profile];
}

static uint32_t occupied(const struct gpu *gpu)
{
    uint32_t slices = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            slices |= bits(gpu->gpu_instances[i].start, profile_of(gpu, &gpu->gpu_instances[i])->size);
    return slices;
}

/* How many more the engines allow, and the profile's own maximum. */
static unsigned allowed(const struct gpu *gpu, const struct profile *profile)
{
    const struct model *model = &models[gpu->model];
    const struct profile *whole = profile;
    for (unsigned i = 0; i < model->profile_count; i++)
        if (model->profiles[i].size == model->memory_slices)
            whole = &model->profiles[i];
    const unsigned need[] = {profile->decoders, profile->encoders, profile->jpeg_engines, profile->ofa_engines};
    unsigned left[] = {whole->decoders, whole->encoders, whole->jpeg_engines, whole->ofa_engines};
    unsigned most = profile->max;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        if (!gpu->gpu_instances[i].used)
            continue;
        const struct profile *other = profile_of(gpu, &gpu->gpu_instances[i]);
        const unsigned taken[] = {other->decoders, other->encoders, other->jpeg_engines, other->ofa_engines};
        for (unsigned engine = 0; engine < 4; engine++)
            left[engine] -= taken[engine] < left[engine] ? taken[engine] : left[engine];
        if (other == profile && most)
            most--;
    }
    for (unsigned engine = 0; engine < 4; engine++)
        if (need[engine] && left[engine] / need[engine] < most)
            most = left[engine] / need[engine];
    return most;
}

/* Placements of a profile that these slices leave free, and how many of them fit beside each other. */
static unsigned free_starts(const struct profile *profile, uint32_t slices, unsigned *disjoint)
{
    unsigned count = 0;
    *disjoint = 0;
    uint32_t taken = slices;
    for (unsigned i = 0; i < profile->start_count; i++) {
        uint32_t place = bits(profile->starts[i], profile->size);
        count += !(place & slices);
        if (!(place & taken)) {
            taken |= place;
            ++*disjoint;
        }
    }
    return count;
}

bool gpu_instance_fits(const struct gpu *gpu, const struct profile *profile, unsigned start)
{
    for (unsigned i = 0; i < profile->start_count; i++)
        if (profile->starts[i] == start)
            return !(occupied(gpu) & bits(start, profile->size)) && allowed(gpu, profile);
    return false;
}

unsigned gpu_instance_capacity(const struct gpu *gpu, const struct profile *profile)
{
    unsigned disjoint;
    unsigned most = allowed(gpu, profile);
    free_starts(profile, occupied(gpu), &disjoint);
    return disjoint < most ? disjoint : most;
}

/* The driver keeps room for others: of a small profile's free placements it takes the first among those that leave the
 * most placements of all profiles. That is why 19,19,14,9 fails on an A100 (1g at 6 and 4, 2g at 0) and 9,19,14,19
 * works. Halves land on either side from one time to the next; here the last on a GPU that never held an instance. */
int gpu_instance_choice(const struct gpu *gpu, const struct profile *profile)
{
    const struct model *model = &models[gpu->model];
    uint32_t slices = occupied(gpu);
    unsigned most = 0;
    int choice = -1;
    bool half = profile->size * 2 >= model->memory_slices;
    bool last = !(gpu->created && mix(gpu->created) & 1);
    for (unsigned i = 0; i < profile->start_count; i++) {
        if (!gpu_instance_fits(gpu, profile, profile->starts[i]))
            continue;
        unsigned left = 1;
        for (unsigned p = 0; p < model->profile_count; p++) {
            unsigned disjoint;
            left += free_starts(&model->profiles[p], slices | bits(profile->starts[i], profile->size), &disjoint);
        }
        if (choice < 0 || (half ? last : left > most)) {
            choice = profile->starts[i];
            most = left;
        }
    }
    return choice;
}

int gpu_instance_free_id(const struct gpu *gpu, const struct profile *profile)
{
    static const struct {
        unsigned part, first, count;
    } classes[] = {{1, 0, 1}, {2, 1, 2}, {4, 3, 4}, {8, 7, 7}};
    unsigned class = 0;
    while (class < 3 && profile->size * classes[class].part < models[gpu->model].memory_slices)
        class++;
    uint32_t taken = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            taken |= 1u << gpu->gpu_instances[i].id;
    unsigned count = classes[class].count;
    unsigned begin = (unsigned)(mix(gpu->serial + gpu->created) % count);
    for (unsigned i = 0; i < count; i++) {
        unsigned id = classes[class].first + (begin + i) % count;
        if (!(taken >> id & 1))
            return (int)id;
    }
    return -1;
}

bool compute_profile_by_id(const struct model *model, const struct profile *profile, unsigned id,
                           struct compute_profile *compute)
{
    static const unsigned slices_of[] = {1, 2, 3, 4, 7};
    unsigned whole = profile->slices;
    if (id >= sizeof slices_of / sizeof *slices_of)
        return false;
    unsigned slices = slices_of[id];
    /* 3c exists in 7g only, besides spanning a 3g. */
    if (slices > whole || (slices == 3 && whole == 4))
        return false;
    const struct profile *smallest = profile_by_index(model, 0, UINT32_MAX);
    *compute = (struct compute_profile){.id = id, .slices = slices, .spans = slices == whole};
    compute->multiprocessors = compute->spans || !smallest ? profile->multiprocessors
                                                           : slices * smallest->multiprocessors;
    unsigned step = slices == 3 ? 4 : slices <= 2 ? slices : whole;
    for (unsigned start = 0; start + slices <= whole; start += step)
        compute->starts[compute->start_count++] = (unsigned char)start;
    compute->max = compute->start_count;
    return true;
}

void compute_profile_name(char *text, size_t length, const struct profile *profile,
                          const struct compute_profile *compute)
{
    if (compute->spans)
        snprintf(text, length, "%s", profile->name);
    else
        snprintf(text, length, "%uc.%s", compute->slices, profile->name);
}

static uint32_t compute_occupied(const struct gpu_instance *instance)
{
    uint32_t slices = 0;
    for (unsigned i = 0; i < MAX_COMPUTE_INSTANCES; i++)
        if (instance->compute_instances[i].used)
            slices |= bits(instance->compute_instances[i].start, instance->compute_instances[i].size);
    return slices;
}

bool compute_instance_fits(const struct gpu_instance *instance, const struct compute_profile *compute, unsigned start)
{
    for (unsigned i = 0; i < compute->start_count; i++)
        if (compute->starts[i] == start)
            return !(compute_occupied(instance) & bits(start, compute->slices));
    return false;
}

unsigned compute_instance_capacity(const struct gpu_instance *instance, const struct compute_profile *compute)
{
    unsigned count = 0;
    for (unsigned i = 0; i < compute->start_count; i++) /* they do not overlap each other */
        count += compute_instance_fits(instance, compute, compute->starts[i]);
    return count;
}

int compute_instance_choice(const struct gpu_instance *instance, const struct compute_profile *compute)
{
    for (unsigned i = 0; i < compute->start_count; i++)
        if (compute_instance_fits(instance, compute, compute->starts[i]))
            return compute->starts[i];
    return -1;
}
