/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The nvidia-smi stand-in: the options of "nvidia-smi mig", and the profiles and instances that its pages work on. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smi.h"

/* Before R510 the profiles carry no name: it follows from the slices and the memory. */
static void name_gpu_profile(smi_profile *profile, unsigned int slices, unsigned long long memory_mib)
{
    snprintf(profile->name, sizeof(profile->name), "MIG %ug.%llugb%s", slices, (memory_mib + 1023) / 1024,
             profile->jpegs && slices == 1 ? "+me" : "");
}

static int by_size(const void *a, const void *b)
{
    const smi_profile *one = a, *other = b;
    if (one->slices != other->slices)
        return one->slices < other->slices ? -1 : 1;
    if (one->memory_gib < other->memory_gib || one->memory_gib > other->memory_gib)
        return one->memory_gib < other->memory_gib ? -1 : 1;
    return one->id < other->id ? -1 : one->id > other->id;
}

nvmlReturn_t smi_gpu_instance_profiles(nvmlDevice_t device, smi_profile *profiles, unsigned int *count)
{
    nvmlReturn_t refused = NVML_ERROR_NOT_SUPPORTED;
    *count = 0;
    for (unsigned int index = 0; index < NVML_GPU_INSTANCE_PROFILE_COUNT; index++) {
        smi_profile *profile = &profiles[*count];
        nvmlGpuInstanceProfileInfo_v2_t info;
        nvmlGpuInstanceProfileInfo_t older;
        memset(&info, 0, sizeof(info));
        info.version = NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2);
        nvmlReturn_t result = nvmlDeviceGetGpuInstanceProfileInfoV(device, index, &info);
        if (result == NVML_ERROR_FUNCTION_NOT_FOUND) {
            result = nvmlDeviceGetGpuInstanceProfileInfo(device, index, &older);
            if (result == NVML_SUCCESS)
                memcpy(&info.id, &older, sizeof(older) - sizeof(older.memorySizeMB));
            info.memorySizeMB = older.memorySizeMB;
        }
        if (result != NVML_SUCCESS) {
            if (result != NVML_ERROR_NOT_SUPPORTED && result != NVML_ERROR_INVALID_ARGUMENT)
                refused = result;
            continue;
        }
        *profile = (smi_profile){.id = info.id,
                                 .index = index,
                                 .slices = info.sliceCount,
                                 .instances = info.instanceCount,
                                 .multiprocessors = info.multiprocessorCount,
                                 .copy_engines = info.copyEngineCount,
                                 .decoders = info.decoderCount,
                                 .encoders = info.encoderCount,
                                 .jpegs = info.jpegCount,
                                 .ofas = info.ofaCount,
                                 .memory_gib = (double)info.memorySizeMB / 1024,
                                 .p2p = info.isP2pSupported};
        snprintf(profile->name, sizeof(profile->name), "%s", info.name);
        if (!*profile->name)
            name_gpu_profile(profile, info.sliceCount, info.memorySizeMB);
        ++*count;
    }
    qsort(profiles, *count, sizeof(*profiles), by_size);
    return *count ? NVML_SUCCESS : refused;
}

nvmlReturn_t smi_compute_instance_profiles(const smi_gpu_instance *parent, smi_profile *profiles, unsigned int *count)
{
    nvmlReturn_t refused = NVML_ERROR_NOT_SUPPORTED;
    *count = 0;
    for (unsigned int index = 0; index < NVML_COMPUTE_INSTANCE_PROFILE_COUNT; index++) {
        smi_profile *profile = &profiles[*count];
        nvmlComputeInstanceProfileInfo_v2_t info;
        nvmlComputeInstanceProfileInfo_t older;
        memset(&info, 0, sizeof(info));
        info.version = NVML_STRUCT_VERSION(ComputeInstanceProfileInfo, 2);
        nvmlReturn_t result = nvmlGpuInstanceGetComputeInstanceProfileInfoV(parent->handle, index, 0, &info);
        if (result == NVML_ERROR_FUNCTION_NOT_FOUND) {
            result = nvmlGpuInstanceGetComputeInstanceProfileInfo(parent->handle, index, 0, &older);
            if (result == NVML_SUCCESS)
                memcpy(&info.id, &older, sizeof(older));
        }
        if (result != NVML_SUCCESS) {
            if (result != NVML_ERROR_NOT_SUPPORTED && result != NVML_ERROR_INVALID_ARGUMENT)
                refused = result;
            continue;
        }
        *profile = (smi_profile){.id = info.id,
                                 .instances = info.instanceCount,
                                 .multiprocessors = info.multiprocessorCount,
                                 .copy_engines = info.sharedCopyEngineCount,
                                 .decoders = info.sharedDecoderCount,
                                 .encoders = info.sharedEncoderCount,
                                 .jpegs = info.sharedJpegCount,
                                 .ofas = info.sharedOfaCount,
                                 .spans = info.multiprocessorCount == parent->profile.multiprocessors};
        snprintf(profile->name, sizeof(profile->name), "%s", info.name);
        if (!*profile->name && profile->spans)
            snprintf(profile->name, sizeof(profile->name), "%s", parent->profile.name);
        else if (!*profile->name)
            snprintf(profile->name, sizeof(profile->name), "MIG %uc.%.64s", info.sliceCount, parent->profile.name + 4);
        ++*count;
    }
    return *count ? NVML_SUCCESS : refused;
}

static int by_index(const void *a, const void *b)
{
    const smi_profile *one = a, *other = b;
    return (one->index > other->index) - (one->index < other->index);
}

static int by_gpu_instance_id(const void *a, const void *b)
{
    const smi_gpu_instance *one = a, *other = b;
    return (one->info.id > other->info.id) - (one->info.id < other->info.id);
}

nvmlReturn_t smi_gpu_instances(nvmlDevice_t device, smi_gpu_instance *instances, unsigned int *count)
{
    smi_profile profiles[NVML_GPU_INSTANCE_PROFILE_COUNT];
    unsigned int profile_count;
    *count = 0;
    nvmlReturn_t result = smi_gpu_instance_profiles(device, profiles, &profile_count);
    qsort(profiles, profile_count, sizeof(*profiles), by_index); /* as instances are listed */
    for (unsigned int p = 0; p < profile_count && result == NVML_SUCCESS; p++) {
        nvmlGpuInstance_t handles[SMI_MAX_INSTANCES];
        unsigned int found = 0, first = *count;
        result = nvmlDeviceGetGpuInstances(device, profiles[p].id, handles, &found);
        for (unsigned int i = 0; i < found && result == NVML_SUCCESS && *count < SMI_MAX_INSTANCES; i++) {
            smi_gpu_instance *instance = &instances[(*count)++];
            instance->handle = handles[i];
            instance->profile = profiles[p];
            result = nvmlGpuInstanceGetInfo(handles[i], &instance->info);
        }
        qsort(instances + first, *count - first, sizeof(*instances), by_gpu_instance_id);
    }
    return result;
}

nvmlReturn_t smi_compute_instances(const smi_gpu_instance *parent, smi_compute_instance *instances,
                                   unsigned int *count)
{
    smi_profile profiles[NVML_COMPUTE_INSTANCE_PROFILE_COUNT];
    unsigned int profile_count;
    *count = 0;
    nvmlReturn_t result = smi_compute_instance_profiles(parent, profiles, &profile_count);
    for (unsigned int p = 0; p < profile_count && result == NVML_SUCCESS; p++) {
        nvmlComputeInstance_t handles[SMI_MAX_INSTANCES];
        unsigned int found = 0;
        result = nvmlGpuInstanceGetComputeInstances(parent->handle, profiles[p].id, handles, &found);
        for (unsigned int i = 0; i < found && result == NVML_SUCCESS && *count < SMI_MAX_INSTANCES; i++) {
            smi_compute_instance *instance = &instances[(*count)++];
            memset(instance, 0, sizeof(*instance));
            instance->handle = handles[i];
            instance->profile = profiles[p];
            result = nvmlComputeInstanceGetInfo_v2(handles[i], &instance->info);
            if (result == NVML_ERROR_FUNCTION_NOT_FOUND) { /* R450: no placement */
                nvmlComputeInstanceInfo_v1_t older;
                result = nvmlComputeInstanceGetInfo(handles[i], &older);
                if (result == NVML_SUCCESS)
                    memcpy(&instance->info, &older, offsetof(nvmlComputeInstanceInfo_t, placement));
            }
        }
    }
    return result;
}

bool smi_in_list(const char *list, unsigned int id)
{
    if (!list)
        return true;
    for (const char *word = list; *word; word += strcspn(word, ","), word += *word == ',') {
        char *end;
        unsigned long number = strtoul(word, &end, 10);
        if (end != word && (*end == ',' || !*end) && number == id)
            return true;
    }
    return false;
}

int smi_for_each_gpu_instance(const smi_mig_options *options, smi_action act, const char *doing, const char *things)
{
    bool any = false;
    for (unsigned int g = 0; g < options->gpus.count; g++) {
        smi_gpu_instance instances[SMI_MAX_INSTANCES];
        unsigned int count;
        nvmlReturn_t result = smi_gpu_instances(options->gpus.devices[g], instances, &count);
        for (unsigned int i = 0; i < count && result == NVML_SUCCESS; i++)
            if (smi_in_list(options->gpu_instances, instances[i].info.id))
                result = act(smi_index(options->gpus.devices[g]), &instances[i], options, &any);
        if (result != NVML_SUCCESS) {
            printf("Failed to %s: %s\n", doing, nvmlErrorString(result));
            return smi_exit_status(result);
        }
    }
    if (any)
        return 0;
    printf("No %s found: %s\n", things, nvmlErrorString(NVML_ERROR_NOT_FOUND));
    return smi_exit_status(NVML_ERROR_NOT_FOUND);
}

static const char *const help =
    "\n"
    "    mig -- Multi Instance GPU management.\n"
    "\n"
    "    Usage: nvidia-smi mig [options]\n"
    "\n"
    "    Options include:\n"
    "    [-h | --help]: Display help information.\n"
    "    [-i | --id]: Enumeration index, PCI bus ID or UUID. Provide comma separated values for more than one device.\n"
    "    [-gi | --gpu-instance-id]: GPU instance ID. Provide comma separated values for more than one.\n"
    "    [-ci | --compute-instance-id]: Compute instance ID. Provide comma separated values for more than one.\n"
    "    [-lgip | --list-gpu-instance-profiles]: List supported GPU instance profiles.\n"
    "    [-lgipp | --list-gpu-instance-possible-placements]: List possible GPU instance placements.\n"
    "    [-C | --default-compute-instance]: Create compute instance with the default profile when used with -cgi.\n"
    "    [-cgi | --create-gpu-instance]: Create GPU instances for the given profile tuples: name or ID of a profile\n"
    "        and an optional placement, e.g. 9 or 3g.20gb or 9:4, comma separated.\n"
    "    [-dgi | --destroy-gpu-instance]: Destroy GPU instances.\n"
    "    [-lgi | --list-gpu-instances]: List GPU instances.\n"
    "    [-lcip | --list-compute-instance-profiles]: List supported compute instance profiles.\n"
    "    [-lcipp | --list-compute-instance-possible-placements]: List possible compute instance placements.\n"
    "    [-cci | --create-compute-instance]: Create compute instances for the given profile tuples; without any,\n"
    "        one that spans the GPU instance.\n"
    "    [-dci | --destroy-compute-instance]: Destroy compute instances.\n"
    "    [-lci | --list-compute-instances]: List compute instances.\n";

static const struct {
    const char *brief, *full;
    int (*run)(const smi_mig_options *options);
    bool mig_off_too; /* the question may be asked of a GPU whose MIG mode is off */
} actions[] = {
    {"-lgip", "--list-gpu-instance-profiles", smi_list_gpu_instance_profiles, true},
    {"-lgipp", "--list-gpu-instance-possible-placements", smi_list_gpu_instance_placements, true},
    {"-lgi", "--list-gpu-instances", smi_list_gpu_instances, false},
    {"-lcip", "--list-compute-instance-profiles", smi_list_compute_instance_profiles, false},
    {"-lcipp", "--list-compute-instance-possible-placements", smi_list_compute_instance_placements, false},
    {"-lci", "--list-compute-instances", smi_list_compute_instances, false},
    {"-cgi", "--create-gpu-instance", smi_create_gpu_instances, false},
    {"-cci", "--create-compute-instance", smi_create_compute_instances, false},
    {"-dgi", "--destroy-gpu-instance", smi_destroy_gpu_instances, false},
    {"-dci", "--destroy-compute-instance", smi_destroy_compute_instances, false},
};

static bool is(const char *word, const char *brief, const char *full)
{
    return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

static int invalid(void)
{
    printf("Invalid combination of input arguments. Please run \"nvidia-smi mig -h\" for help.\n");
    return smi_exit_status(NVML_ERROR_INVALID_ARGUMENT);
}

/* Keeps the GPUs that can be asked: with MIG enabled, or where `mig_off_too`, those that name profiles anyway. */
static void keep_usable(smi_gpus *gpus, bool mig_off_too)
{
    smi_profile profiles[NVML_GPU_INSTANCE_PROFILE_COUNT];
    unsigned int kept = 0, count;
    for (unsigned int i = 0; i < gpus->count; i++)
        if (smi_mig_enabled(gpus->devices[i]) ||
            (mig_off_too && smi_gpu_instance_profiles(gpus->devices[i], profiles, &count) == NVML_SUCCESS))
            gpus->devices[kept++] = gpus->devices[i];
    gpus->count = kept;
}

int smi_mig(int count, char **arguments)
{
    smi_mig_options options = {.gpus = {.count = 0}};
    const char *selection = NULL;
    int action = -1;
    for (int i = 0; i < count; i++) {
        const char *word = arguments[i];
        const char *next = i + 1 < count && arguments[i + 1][0] != '-' ? arguments[i + 1] : NULL;
        const char **value = is(word, "-i", "--id")                     ? &selection
                             : is(word, "-gi", "--gpu-instance-id")     ? &options.gpu_instances
                             : is(word, "-ci", "--compute-instance-id") ? &options.compute_instances
                                                                        : NULL;
        if (is(word, "-h", "--help")) {
            fputs(help, stdout);
            return 0;
        }
        if (value) {
            if (!next)
                return invalid();
            *value = next;
            i++;
            continue;
        }
        if (is(word, "-C", "--default-compute-instance")) {
            options.with_compute_instance = true;
            continue;
        }
        int found = -1;
        for (int a = 0; a < (int)(sizeof(actions) / sizeof(*actions)); a++)
            if (is(word, actions[a].brief, actions[a].full))
                found = a;
        if (found < 0 || action >= 0)
            return invalid();
        action = found;
        bool creates_gpu_instances = actions[action].run == smi_create_gpu_instances;
        if (creates_gpu_instances || actions[action].run == smi_create_compute_instances) {
            options.profiles = next;
            i += next != NULL;
            if (creates_gpu_instances && !next)
                return invalid();
        }
    }
    if (action < 0)
        return invalid();
    int status = smi_select(selection, &options.gpus);
    if (status)
        return status;
    keep_usable(&options.gpus, actions[action].mig_off_too);
    if (!options.gpus.count) {
        printf("No MIG-%s devices found.\n", actions[action].mig_off_too ? "supported" : "enabled");
        return smi_exit_status(NVML_ERROR_NOT_FOUND);
    }
    return actions[action].run(&options);
}
