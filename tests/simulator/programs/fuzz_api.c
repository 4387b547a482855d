/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fuzz_api STATE ROUNDS SEED: random MIG calls with right and wrong arguments, from two threads; after each round of
 * calls the host must hold: nothing overlaps, ids and indexes are unique, engines and maxima are kept, and capacity is
 * what can in fact be created. */
#include "check.h"
#include "geometry.h"
#include "nvml.h"

#include <pthread.h>
#include <string.h>

enum { KEPT = 8, BURST = 25 };

enum kind { GPU, GPU_INSTANCE, COMPUTE_INSTANCE, KINDS };

struct worker {
    uint64_t seed;
    unsigned long done; /* calls that changed something */
    void *handles[KINDS][KEPT];
};

/* Mostly one of the kind, else one of another kind or no handle at all. */
static void *any_handle(struct worker *worker, enum kind kind)
{
    uint64_t choice = random_number(&worker->seed);
    if (choice % 32 == 0)
        return (void *)(uintptr_t)random_number(&worker->seed);
    void *handle = worker->handles[choice % 32 == 1 ? choice >> 8 & 1 : kind][choice >> 16 & (KEPT - 1)];
    return choice % 32 == 2 ? (void *)((uintptr_t)handle ^ (uintptr_t)1 << (choice >> 24 & 63)) : handle;
}

static void keep(struct worker *worker, enum kind kind, void *handle)
{
    worker->handles[kind][random_number(&worker->seed) % KEPT] = handle;
}

static unsigned any_number(struct worker *worker, unsigned usual)
{
    uint64_t choice = random_number(&worker->seed);
    return choice % 16 ? (unsigned)(choice >> 8) % usual : (unsigned)(choice >> 8);
}

static unsigned any_profile(struct worker *worker)
{
    static const unsigned ids[] = {19, 20, 15, 14, 9, 5, 0, 19};
    return ids[any_number(worker, 8) % 8];
}

static void call_once(struct worker *worker)
{
    nvmlDevice_t gpu = any_handle(worker, GPU);
    nvmlGpuInstance_t instance = any_handle(worker, GPU_INSTANCE), made = NULL;
    nvmlComputeInstance_t compute = any_handle(worker, COMPUTE_INSTANCE), made_compute = NULL;
    nvmlGpuInstancePlacement_t placement = {any_number(worker, 8), 1u << any_number(worker, 4) % 4};
    nvmlReturn_t status, code = NVML_ERROR_UNKNOWN;
    nvmlDevice_t device = NULL;
    unsigned number = any_number(worker, 8);
    switch (random_number(&worker->seed) % 12) {
    case 0:
        code = nvmlDeviceSetMigMode(gpu, any_number(worker, 8) > 0, &status);
        break;
    case 1:
    case 2:
        code = nvmlDeviceCreateGpuInstance(gpu, any_profile(worker), &made);
        break;
    case 3:
        code = nvmlDeviceCreateGpuInstanceWithPlacement(gpu, any_profile(worker), &placement, &made);
        break;
    case 4:
    case 5:
        code = nvmlGpuInstanceCreateComputeInstance(instance, any_number(worker, 5), &made_compute);
        break;
    case 6:
        code = nvmlGpuInstanceCreateComputeInstanceWithPlacement(instance, any_number(worker, 5), &placement,
                                                                 &made_compute);
        break;
    case 7:
        code = nvmlComputeInstanceDestroy(compute);
        break;
    case 8:
        code = nvmlGpuInstanceDestroy(instance);
        break;
    case 9:
        if (nvmlDeviceGetHandleByIndex_v2(number % 3, &device) == NVML_SUCCESS)
            keep(worker, GPU, device);
        break;
    case 10:
        if (nvmlDeviceGetGpuInstanceById(gpu, number * 2, &made) == NVML_SUCCESS)
            keep(worker, GPU_INSTANCE, made);
        made = NULL;
        break;
    default:
        if (nvmlGpuInstanceGetComputeInstanceById(instance, number, &made_compute) == NVML_SUCCESS)
            keep(worker, COMPUTE_INSTANCE, made_compute);
        made_compute = NULL;
    }
    worker->done += code == NVML_SUCCESS;
    if (code == NVML_SUCCESS && made)
        keep(worker, GPU_INSTANCE, made);
    if (code == NVML_SUCCESS && made_compute)
        keep(worker, COMPUTE_INSTANCE, made_compute);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    HOLDS(nvmlInit_v2() == NVML_SUCCESS);
    for (int i = 0; i < BURST; i++)
        call_once(worker);
    HOLDS(nvmlShutdown() == NVML_SUCCESS);
    return NULL;
}

/* Every id and index once, no slice twice. */
static void check_gpu(const struct gpu *gpu, unsigned branch)
{
    const struct model *model = gpu_model(gpu);
    uint32_t slices = 0, ids = 0, indexes = 0, engines[4] = {0};
    unsigned of_profile[32] = {0};
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        const struct gpu_instance *instance = &gpu->gpu_instances[i];
        if (!instance->used)
            continue;
        const struct profile *profile = &model->profiles[instance->profile];
        uint32_t place = ((1u << profile->size) - 1) << instance->start, computes = 0, compute_ids = 0;
        unsigned compute_slices = 0;
        HOLDS(gpu->mig_mode && !(slices & place) && !(ids >> instance->id & 1));
        slices |= place;
        ids |= 1u << instance->id;
        HOLDS(++of_profile[instance->profile] <= profile->max);
        engines[0] += profile->decoders;
        engines[1] += profile->encoders;
        engines[2] += profile->jpeg_engines;
        engines[3] += profile->ofa_engines;
        for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
            const struct compute_instance *compute = &instance->compute_instances[c];
            if (!compute->used)
                continue;
            uint32_t part = ((1u << compute->size) - 1) << compute->start;
            struct compute_profile told;
            HOLDS(compute_profile_by_id(gpu, profile, compute->profile, &told));
            HOLDS(compute_place_exists(&told, compute->start, compute->size));
            compute_slices += told.slices;
            HOLDS(!(computes & part) && !(compute_ids >> compute->id & 1) && !(indexes >> compute->mig_index & 1));
            HOLDS(compute->mig_index < model->compute_slices);
            computes |= part;
            compute_ids |= 1u << compute->id;
            indexes |= 1u << compute->mig_index;
        }
        HOLDS(compute_slices <= profile->slices);
    }
    const struct model *plain = &models[gpu->model];
    for (unsigned i = 0; i < plain->profile_count; i++)
        if (plain->profiles[i].size == plain->memory_slices) {
            const struct profile *whole = &plain->profiles[i];
            HOLDS(engines[0] <= whole->decoders && engines[1] <= whole->encoders);
            HOLDS(engines[2] <= whole->jpeg_engines && engines[3] <= whole->ofa_engines);
        }
    for (unsigned i = 0; i < model->profile_count && !gpu->strange[FREE_COUNTS]; i++) {
        const struct profile *profile = &model->profiles[i];
        bool fits = false;
        for (unsigned s = 0; s < profile->start_count; s++)
            fits = fits || gpu_instance_fits(gpu, profile, profile->starts[s], branch);
        HOLDS(fits == (gpu_instance_capacity(gpu, profile, branch) > 0));
        HOLDS(fits == (gpu_instance_choice(gpu, profile, branch) >= 0));
    }
}

int main(int argc, char **argv)
{
    HOLDS(argc == 4 && !setenv("MIG_SIMULATOR_STATE", argv[1], 1));
    static struct state state;
    struct worker workers[2] = {{.seed = seed_from(argv[3])}, {.seed = seed_from(argv[3]) ^ 0x5555}};
    for (long round = strtol(argv[2], NULL, 10); round; round--) {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            HOLDS(!pthread_create(&threads[i], NULL, work, &workers[i]));
        for (int i = 0; i < 2; i++)
            HOLDS(!pthread_join(threads[i], NULL));
        HOLDS(state_open(&state, argv[1]) == STATE_OK);
        for (unsigned g = 0; g < state.current.host.gpu_count; g++)
            check_gpu(&state.current.host.gpus[g], state.current.host.driver_branch);
        state_close(&state);
    }
    HOLDS(workers[0].done && workers[1].done);
    HOLDS(nvmlShutdown() == NVML_ERROR_UNINITIALIZED);
    printf("%lu and %lu changes\n", workers[0].done, workers[1].done);
    return 0;
}
