/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "geometry.h"

#include "identifiers.h"

#include <stdio.h>
#include <string.h>

/* The slices start, start + 1, … as bits. */
static uint32_t bits(unsigned start, unsigned size)
{
    return ((1u << size) - 1) << start;
}

const struct model *gpu_model(const struct gpu *gpu)
{
    return strange_model(gpu->model, gpu->strange);
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
    return &gpu_model(gpu)->profiles[instance->profile];
}

static uint32_t occupied(const struct gpu *gpu)
{
    uint32_t slices = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            slices |= bits(gpu->gpu_instances[i].start, profile_of(gpu, &gpu->gpu_instances[i])->size);
    return slices;
}

/* Whether the driver refuses the profile beside what is there: profiles of half a GPU that differ, 4g and 3g. */
static bool combination_refused(const struct gpu *gpu, const struct profile *profile, unsigned branch)
{
    const struct model *model = gpu_model(gpu);
    bool refuses = gpu->strange[COMBINATION] == COMBINATION_HALVES ||
                   (gpu->strange[COMBINATION] == COMBINATION_DRIVER && branch < 510);
    if (!refuses || profile->size * 2 != model->memory_slices)
        return false;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used && profile_of(gpu, &gpu->gpu_instances[i]) != profile &&
            profile_of(gpu, &gpu->gpu_instances[i])->size == profile->size)
            return true;
    return false;
}

/* How many more the engines allow, and the profile's own maximum. There are as many engines as the catalogue says,
 * whatever is told. */
static unsigned allowed(const struct gpu *gpu, const struct profile *profile, unsigned branch)
{
    const struct model *model = &models[gpu->model];
    const struct profile *whole = profile;
    if (combination_refused(gpu, profile, branch))
        return 0;
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

bool gpu_instance_fits(const struct gpu *gpu, const struct profile *profile, unsigned start, unsigned branch)
{
    for (unsigned i = 0; i < profile->start_count; i++)
        if (profile->starts[i] == start)
            return !(occupied(gpu) & bits(start, profile->size)) && allowed(gpu, profile, branch);
    return false;
}

unsigned gpu_instance_capacity(const struct gpu *gpu, const struct profile *profile, unsigned branch)
{
    unsigned disjoint, most = profile->max;
    for (unsigned i = 0; gpu->strange[FREE_COUNTS] && i < MAX_GPU_INSTANCES; i++)
        most -= gpu->gpu_instances[i].used && profile_of(gpu, &gpu->gpu_instances[i]) == profile && most;
    if (gpu->strange[FREE_COUNTS])
        return most;
    most = allowed(gpu, profile, branch);
    free_starts(profile, occupied(gpu), &disjoint);
    return disjoint < most ? disjoint : most;
}

/* The driver keeps room for others: of a small profile's free placements it takes the first among those that leave the
 * most placements of all profiles. That is why 19,19,14,9 fails on an A100 (1g at 6 and 4, 2g at 0) and 9,19,14,19
 * works. Halves land on either side from one time to the next; here the last on a GPU that never held an instance. */
int gpu_instance_choice(const struct gpu *gpu, const struct profile *profile, unsigned branch)
{
    const struct model *model = gpu_model(gpu);
    uint32_t slices = occupied(gpu);
    unsigned most = 0;
    int choice = -1;
    bool half = profile->size * 2 >= model->memory_slices;
    /* Boards of seven slices, from driver 510 on; an RTX PRO 6000 takes the first. */
    bool last = gpu->created ? !(mix(gpu->created) & 1) : branch >= 510;
    last = last && model->memory_slices == model->compute_slices + 1;
    for (unsigned i = 0; i < profile->start_count; i++) {
        if (!gpu_instance_fits(gpu, profile, profile->starts[i], branch))
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

int gpu_instance_new_id(const struct gpu *gpu, const struct profile *profile, unsigned start)
{
    static const struct {
        unsigned part, first;
    } classes[] = {{1, 0}, {2, 1}, {4, 3}, {8, 7}};
    const struct model *model = gpu_model(gpu);
    unsigned class = 0;
    while (class < 3 && profile->size * classes[class].part < model->memory_slices)
        class++;
    unsigned part = classes[class].part, first = classes[class].first, policy = gpu->strange[GI_IDS];
    if (policy != GI_IDS_SCATTERED) {
        /* Boards of A100s count from the other half on. */
        bool a100 = models[gpu->model].architecture == AMPERE && model->memory_slices > model->compute_slices;
        bool swapped = policy == GI_IDS_SWAPPED || (policy == GI_IDS_MODEL && a100);
        unsigned number = start * part / model->memory_slices;
        return (int)(first + (swapped ? (number + part / 2) % part : number));
    }
    uint32_t taken = 0;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            taken |= 1u << gpu->gpu_instances[i].id;
    unsigned count = part == 8 ? 7 : part;
    unsigned begin = (unsigned)(mix(gpu->serial + gpu->created) % count);
    for (unsigned i = 0; i < count; i++) {
        unsigned id = first + (begin + i) % count;
        if (!(taken >> id & 1))
            return (int)id;
    }
    return -1;
}

/* The profile of one slice with the memory of two that has more multiprocessors than one slice: boards that have it
 * place compute instances in eighths (RM: kmigmgrIsCTSAlignmentRequired). NULL: the board counts in slices. */
static const struct profile *double_slice(const struct gpu *gpu)
{
    const struct model *model = gpu_model(gpu);
    const struct profile *one = model->profiles;
    for (unsigned i = 1; gpu->strange[COMPUTE_PLACES] && i < model->profile_count; i++)
        if (model->profiles[i].slices == 1 && model->profiles[i].size == one->size * 2 &&
            model->profiles[i].multiprocessors > one->multiprocessors)
            return &model->profiles[i];
    return NULL;
}

enum { DOUBLE_SLICE_PROFILE = 7 };

/* Placements in a GPU instance of that many eighths: spans begin at multiples of themselves (RM:
 * kmigmgrComputeProfileSizeToCTSIdRange, kmigmgrXlateSpanStartToCTSId). */
static void place_in_eighths(struct compute_profile *compute, const struct gpu *gpu, unsigned slices, unsigned width)
{
    compute->size = compute->slices <= 2 ? compute->slices : compute->slices <= 4 ? 4 : 8;
    if (compute->id == DOUBLE_SLICE_PROFILE)
        compute->size = 2;
    bool few = compute->size == 1 && !gpu->strange[ONE_SLICE_STARTS];
    for (unsigned start = 0; start + compute->size <= (few ? slices : width); start += compute->size)
        compute->starts[compute->start_count++] = (unsigned char)start;
}

static void place_in_slices(struct compute_profile *compute, const struct gpu *gpu, unsigned slices)
{
    /* Every start where the span fits; or in a simulator's own steps. */
    unsigned step = compute->slices == 3 ? 4 : compute->slices <= 2 ? compute->slices : slices;
    compute->size = compute->slices;
    if (gpu->strange[COMPUTE_PLACES])
        step = 1;
    for (unsigned start = 0; start + compute->slices <= slices; start += step)
        compute->starts[compute->start_count++] = (unsigned char)start;
}

bool compute_profile_by_id(const struct gpu *gpu, const struct profile *profile, unsigned id,
                           struct compute_profile *compute)
{
    static const unsigned slices_of[] = {1, 2, 3, 4, 7, 0, 0, 1};
    const struct model *model = gpu_model(gpu);
    const struct profile *twice = double_slice(gpu);
    unsigned whole = profile->slices, width = profile->size * 8 / model->memory_slices;
    bool is_twice = twice && whole == 1 && profile->size == twice->size;
    if (id >= sizeof slices_of / sizeof *slices_of || !slices_of[id])
        return false;
    unsigned slices = slices_of[id];
    if (id == DOUBLE_SLICE_PROFILE ? !twice || !(is_twice || (gpu->strange[DOUBLE_SLICE] && width > 2)) : is_twice)
        return false;
    /* 3c exists in 7g only, besides spanning a 3g. */
    if (slices > whole || (slices == 3 && whole == 4))
        return false;
    *compute = (struct compute_profile){.id = id, .slices = slices, .max = whole / slices, .spans = slices == whole};
    compute->multiprocessors = compute->spans               ? profile->multiprocessors
                               : id == DOUBLE_SLICE_PROFILE ? twice->multiprocessors
                                                            : slices * model->profiles->multiprocessors;
    if (twice)
        place_in_eighths(compute, gpu, whole, width);
    else
        place_in_slices(compute, gpu, whole);
    if (compute->max > compute->start_count)
        compute->max = compute->start_count;
    return true;
}

void compute_profile_name(char *text, size_t length, const struct gpu *gpu, const struct profile *profile,
                          const struct compute_profile *compute)
{
    char name[64];
    snprintf(name, sizeof name, "%s", profile->name);
    size_t bare = strcspn(name, "+-");
    if (gpu->strange[COMPUTE_NAMES] == COMPUTE_NAMES_BARE ||
        (gpu->strange[COMPUTE_NAMES] == COMPUTE_NAMES_NO_ME && !strcmp(name + bare, "+me")))
        name[bare] = 0;
    if (compute->spans)
        snprintf(text, length, "%s", name);
    else
        snprintf(text, length, "%uc.%s", compute->slices, name);
}

static uint32_t compute_occupied(const struct gpu_instance *instance)
{
    uint32_t slices = 0;
    for (unsigned i = 0; i < MAX_COMPUTE_INSTANCES; i++)
        if (instance->compute_instances[i].used)
            slices |= bits(instance->compute_instances[i].start, instance->compute_instances[i].size);
    return slices;
}

bool compute_place_taken(const struct gpu_instance *instance, unsigned start, unsigned size)
{
    return start < 32 && size < 32 - start && (compute_occupied(instance) & bits(start, size));
}

bool compute_place_exists(const struct compute_profile *compute, unsigned start, unsigned size)
{
    for (unsigned i = 0; i < compute->start_count; i++)
        if (compute->starts[i] == start)
            return size == compute->size;
    return false;
}

/* How many more its slices and the profile's maximum allow, whatever the placements. */
static unsigned compute_allowed(const struct gpu *gpu, const struct gpu_instance *instance,
                                const struct compute_profile *compute)
{
    const struct profile *profile = profile_of(gpu, instance);
    unsigned slices = 0, same = 0;
    for (unsigned i = 0; i < MAX_COMPUTE_INSTANCES; i++) {
        struct compute_profile other;
        if (!instance->compute_instances[i].used ||
            !compute_profile_by_id(gpu, profile, instance->compute_instances[i].profile, &other))
            continue;
        slices += other.slices;
        same += other.id == compute->id;
    }
    unsigned left = slices < profile->slices ? (profile->slices - slices) / compute->slices : 0;
    unsigned more = same < compute->max ? compute->max - same : 0;
    return more < left ? more : left;
}

bool compute_instance_fits(const struct gpu *gpu, const struct gpu_instance *instance,
                           const struct compute_profile *compute, unsigned start)
{
    return compute_place_exists(compute, start, compute->size) &&
           !compute_place_taken(instance, start, compute->size) && compute_allowed(gpu, instance, compute);
}

unsigned compute_instance_capacity(const struct gpu *gpu, const struct gpu_instance *instance,
                                   const struct compute_profile *compute)
{
    unsigned most = compute_allowed(gpu, instance, compute), same = 0, disjoint = 0;
    uint32_t taken = compute_occupied(instance);
    for (unsigned i = 0; i < MAX_COMPUTE_INSTANCES; i++)
        same += instance->compute_instances[i].used && instance->compute_instances[i].profile == compute->id;
    if (gpu->strange[FREE_COUNTS])
        return same < compute->max ? compute->max - same : 0;
    for (unsigned i = 0; i < compute->start_count; i++)
        if (!(taken & bits(compute->starts[i], compute->size))) {
            taken |= bits(compute->starts[i], compute->size);
            disjoint++;
        }
    return most < disjoint ? most : disjoint;
}

/* In slices the first that fits. In eighths the last even one, else the last: the first 1c of a 3g is at 2 (seen). */
int compute_instance_choice(const struct gpu *gpu, const struct gpu_instance *instance,
                            const struct compute_profile *compute)
{
    bool eighths = double_slice(gpu) != NULL;
    int choice = -1;
    for (unsigned i = 0; i < compute->start_count; i++) {
        int start = compute->starts[i];
        if (compute_instance_fits(gpu, instance, compute, (unsigned)start) &&
            (choice < 0 || (eighths && (start % 2 == 0 || choice % 2))))
            choice = start;
    }
    return choice;
}
