/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: the listing pages of "nvidia-smi mig", in the layout of driver R580. */
#include <stdio.h>

#include "smi.h"

#define GI_PROFILE_RULE "+-------------------------------------------------------------------------------+"
#define GI_RULE "+---------------------------------------------------------+"
#define CI_PROFILE_RULE "+--------------------------------------------------------------------------------------+"
#define CI_RULE "+--------------------------------------------------------------------+"

static int failed(const char *what, nvmlReturn_t result)
{
    printf("Failed to display %s: %s\n", what, nvmlErrorString(result));
    return smi_exit_status(result);
}

static int none(const char *what, nvmlReturn_t result)
{
    printf("No %s found: %s\n", what, nvmlErrorString(result));
    return smi_exit_status(result);
}

int smi_list_gpu_instance_profiles(const smi_mig_options *options)
{
    puts(GI_PROFILE_RULE);
    puts("| GPU instance profiles:                                                        |");
    puts("| GPU   Name               ID    Instances   Memory     P2P    SM    DEC   ENC  |");
    puts("|                                Free/Total   GiB              CE    JPEG  OFA  |");
    puts("|===============================================================================|");
    for (unsigned int g = 0; g < options->gpus.count; g++) {
        smi_profile profiles[NVML_GPU_INSTANCE_PROFILE_COUNT];
        unsigned int count;
        nvmlReturn_t result = smi_gpu_instance_profiles(options->gpus.devices[g], profiles, &count);
        if (result != NVML_SUCCESS)
            return failed("GPU instance profiles", result);
        for (unsigned int p = 0; p < count; p++) {
            unsigned int left = 0; /* stays 0 where the capacity is not told for want of permission */
            char instances[32], memory[32];
            result = nvmlDeviceGetGpuInstanceRemainingCapacity(options->gpus.devices[g], profiles[p].id, &left);
            if (result == NVML_ERROR_NOT_SUPPORTED) /* with MIG off all are free */
                left = profiles[p].instances;
            snprintf(instances, sizeof(instances), "%u/%u", left, profiles[p].instances);
            snprintf(memory, sizeof(memory), "%.2f", profiles[p].memory_gib);
            printf("|%4u  %-18s %3u     %-11s%-11s%-7s%-7u%-6u%-4u|\n", smi_index(options->gpus.devices[g]),
                   profiles[p].name, profiles[p].id, instances, memory, profiles[p].p2p ? "Yes" : "No",
                   profiles[p].multiprocessors, profiles[p].decoders, profiles[p].encoders);
            printf("|%62s %-6u%-6u%-4u|\n", "", profiles[p].copy_engines, profiles[p].jpegs, profiles[p].ofas);
            puts(GI_PROFILE_RULE);
        }
    }
    return 0;
}

/* "{0,4}:4", the start slices and the size; placements differ in their start only. */
static void print_placements(const nvmlGpuInstancePlacement_t *placements, unsigned int count)
{
    printf(" %s {", count == 1 ? "Placement :" : "Placements:");
    for (unsigned int i = 0; i < count; i++)
        printf("%s%u", i ? "," : "", placements[i].start);
    printf("}:%u\n", count ? placements[0].size : 0);
}

int smi_list_gpu_instance_placements(const smi_mig_options *options)
{
    for (unsigned int g = 0; g < options->gpus.count; g++) {
        nvmlDevice_t device = options->gpus.devices[g];
        smi_profile profiles[NVML_GPU_INSTANCE_PROFILE_COUNT];
        unsigned int count;
        nvmlReturn_t result = smi_gpu_instance_profiles(device, profiles, &count);
        for (unsigned int p = 0; p < count && result == NVML_SUCCESS; p++) {
            nvmlGpuInstancePlacement_t placements[SMI_MAX_INSTANCES];
            unsigned int found = SMI_MAX_INSTANCES;
            result = nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profiles[p].id, placements, &found);
            if (result == NVML_ERROR_FUNCTION_NOT_FOUND) /* a driver before R470 */
                result = nvmlDeviceGetGpuInstancePossiblePlacements(device, profiles[p].id, placements, &found);
            if (result != NVML_SUCCESS)
                break;
            printf("GPU %2u Profile ID %2u", smi_index(device), profiles[p].id);
            print_placements(placements, found);
        }
        if (result != NVML_SUCCESS)
            return failed("GPU instance possible placements", result);
    }
    return 0;
}

int smi_list_gpu_instances(const smi_mig_options *options)
{
    bool any = false;
    for (unsigned int g = 0; g < options->gpus.count; g++) {
        smi_gpu_instance instances[SMI_MAX_INSTANCES];
        unsigned int count;
        nvmlReturn_t result = smi_gpu_instances(options->gpus.devices[g], instances, &count);
        if (result != NVML_SUCCESS) {
            failed("GPU instances", result);
            return none("GPU instances", result);
        }
        for (unsigned int i = 0; i < count; i++) {
            const nvmlGpuInstanceInfo_t *info = &instances[i].info;
            if (!smi_in_list(options->gpu_instances, info->id))
                continue;
            if (!any) {
                puts(GI_RULE);
                puts("| GPU instances:                                          |");
                puts("| GPU   Name               Profile  Instance   Placement  |");
                puts("|                            ID       ID       Start:Size |");
                puts("|=========================================================|");
                any = true;
            }
            printf("|%4u  %-18s%6u%9u%11u:%u     |\n", smi_index(options->gpus.devices[g]), instances[i].profile.name,
                   info->profileId, info->id, info->placement.start, info->placement.size);
            puts(GI_RULE);
        }
    }
    return any ? 0 : none("GPU instances", NVML_ERROR_NOT_FOUND);
}

static nvmlReturn_t print_compute_instance_profiles(unsigned int gpu, const smi_gpu_instance *instance,
                                                    const smi_mig_options *options, bool *any)
{
    smi_profile profiles[NVML_COMPUTE_INSTANCE_PROFILE_COUNT];
    unsigned int count;
    (void)options;
    nvmlReturn_t result = smi_compute_instance_profiles(instance, profiles, &count);
    for (unsigned int p = 0; p < count && result == NVML_SUCCESS; p++) {
        unsigned int left = 0;
        char instances[32];
        if (!*any) {
            puts(CI_PROFILE_RULE);
            puts("| Compute instance profiles:                                                           |");
            puts("| GPU     GPU       Name             Profile  Instances   Exclusive       Shared       |");
            puts("|       Instance                       ID     Free/Total     SM       DEC   ENC   OFA  |");
            puts("|         ID                                                          CE    JPEG       |");
            puts("|======================================================================================|");
            *any = true;
        }
        result = nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance->handle, profiles[p].id, &left);
        snprintf(instances, sizeof(instances), "%u/%u", left, profiles[p].instances);
        printf("|%4u%7u       %-18s%4u%c     %-14s%-10u%-6u%-6u%-4u|\n", gpu, instance->info.id, profiles[p].name,
               profiles[p].id, profiles[p].spans ? '*' : ' ', instances, profiles[p].multiprocessors,
               profiles[p].decoders, profiles[p].encoders, profiles[p].ofas);
        printf("|%70s%-6u%-10u|\n", "", profiles[p].copy_engines, profiles[p].jpegs);
        puts(CI_PROFILE_RULE);
    }
    return result;
}

int smi_list_compute_instance_profiles(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, print_compute_instance_profiles, "display compute instance profiles",
                                     "GPU instances");
}

static nvmlReturn_t print_compute_instance_placements(unsigned int gpu, const smi_gpu_instance *instance,
                                                      const smi_mig_options *options, bool *any)
{
    smi_profile profiles[NVML_COMPUTE_INSTANCE_PROFILE_COUNT];
    unsigned int count;
    (void)options;
    nvmlReturn_t result = smi_compute_instance_profiles(instance, profiles, &count);
    for (unsigned int p = 0; p < count && result == NVML_SUCCESS; p++) {
        nvmlComputeInstancePlacement_t placements[SMI_MAX_INSTANCES];
        unsigned int found = SMI_MAX_INSTANCES;
        result = nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance->handle, profiles[p].id, placements,
                                                                     &found);
        if (result != NVML_SUCCESS)
            break;
        printf("GPU %2u GI %2u Profile ID %2u", gpu, instance->info.id, profiles[p].id);
        print_placements(placements, found);
        *any = true;
    }
    return result;
}

int smi_list_compute_instance_placements(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, print_compute_instance_placements,
                                     "display compute instance possible placements", "GPU instances");
}

static nvmlReturn_t print_compute_instances(unsigned int gpu, const smi_gpu_instance *instance,
                                            const smi_mig_options *options, bool *any)
{
    smi_compute_instance instances[SMI_MAX_INSTANCES];
    unsigned int count;
    nvmlReturn_t result = smi_compute_instances(instance, instances, &count);
    for (unsigned int i = 0; i < count && result == NVML_SUCCESS; i++) {
        const nvmlComputeInstanceInfo_t *info = &instances[i].info;
        if (!smi_in_list(options->compute_instances, info->id))
            continue;
        if (!*any) {
            puts(CI_RULE);
            puts("| Compute instances:                                                 |");
            puts("| GPU     GPU       Name             Profile   Instance   Placement  |");
            puts("|       Instance                       ID        ID       Start:Size |");
            puts("|         ID                                                         |");
            puts("|====================================================================|");
            *any = true;
        }
        printf("|%4u%7u       %-18s%4u%10u%11u:%u     |\n", gpu, instance->info.id, instances[i].profile.name,
               info->profileId, info->id, info->placement.start, info->placement.size);
        puts(CI_RULE);
    }
    return result;
}

int smi_list_compute_instances(const smi_mig_options *options)
{
    return smi_for_each_gpu_instance(options, print_compute_instances, "display compute instances",
                                     "compute instances");
}
