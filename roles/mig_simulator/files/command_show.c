/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator show: the host in words and as a picture, or all of it as JSON. */
#include "command.h"

#include "clients.h"
#include "geometry.h"
#include "host.h"
#include "identifiers.h"

#include <getopt.h>
#include <string.h>

static void process_name(pid_t pid, char name[32])
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(name, 32, file))
        snprintf(name, 32, "?");
    name[strcspn(name, "\n")] = 0;
    if (file)
        fclose(file);
}

static void name_compute_profile(char name[64], const struct gpu *gpu, const struct profile *profile, unsigned id)
{
    struct compute_profile compute;
    snprintf(name, 64, "?");
    if (compute_profile_by_id(gpu, profile, id, &compute))
        compute_profile_name(name, 64, gpu, profile, &compute);
}

/* ---- In words --------------------------------------------------------------------------------------------------- */

/* The live clients of a compute instance, or with serial 0 of the GPU itself. */
static void print_clients(const struct host *host, unsigned gpu, uint32_t serial)
{
    const char *before = "  busy: ";
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &host->clients[i];
        char name[32];
        if (client->gpu != gpu || client->compute_instance != serial || !client_alive(client))
            continue;
        process_name(client->pid, name);
        printf("%s%d %s", before, (int)client->pid, name);
        if (client->type != COMPUTE_CLIENT)
            printf(" (%s)", client_types[client->type]);
        before = ", ";
    }
}

/* The GPU instance that starts at this memory slice, or NULL: what is shown is in the order of the slices. */
static const struct gpu_instance *instance_at(const struct gpu *gpu, unsigned slice)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used && gpu->gpu_instances[i].start == slice)
            return &gpu->gpu_instances[i];
    return NULL;
}

/* The memory slices: a GPU instance's profile across its own, nothing in a free one. */
static void print_bar(const struct gpu *gpu)
{
    const struct model *model = gpu_model(gpu);
    int width = model->memory_slices > 8 ? 5 : 9;
    printf("       ");
    for (unsigned slice = 0; slice < model->memory_slices;) {
        const struct gpu_instance *instance = instance_at(gpu, slice);
        const struct profile *profile = instance ? &model->profiles[instance->profile] : NULL;
        unsigned size = profile ? profile->size : 1;
        int inside = width * (int)size - 2;
        printf("[%-*.*s]", inside, inside, profile ? profile->name : "");
        slice += size;
    }
    putchar('\n');
}

static void print_instance(const struct host *host, unsigned index, const struct gpu_instance *instance)
{
    const struct gpu *gpu = &host->gpus[index];
    const struct model *model = gpu_model(gpu);
    const struct profile *profile = &model->profiles[instance->profile];
    printf("       GI %-2u %-14s slices %u-%u\n", instance->id, profile->name, instance->start,
           instance->start + profile->size - 1);
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
        const struct compute_instance *compute = &instance->compute_instances[c];
        char name[64], uuid[UUID_TEXT];
        if (!compute->used)
            continue;
        name_compute_profile(name, gpu, profile, compute->profile);
        mig_uuid_text(uuid, host, gpu, instance, compute);
        printf("          CI %u %-14s device %u  %s", compute->id, name, compute->mig_index, uuid);
        print_clients(host, index, compute->serial);
        putchar('\n');
    }
}

static void print_gpu(const struct host *host, unsigned index)
{
    const struct gpu *gpu = &host->gpus[index];
    char uuid[UUID_TEXT], address[PCI_ADDRESS_TEXT];
    gpu_uuid_text(uuid, gpu);
    pci_address_text(address, gpu);
    printf("GPU %-2u %s  %s  %s\n       ", index, models[gpu->model].product, address, uuid);
    if (!host_has_mig(gpu))
        printf("no MIG");
    else
        printf("MIG %s%s", gpu->mig_mode ? "on" : "off",
               gpu->mig_mode == gpu->mig_mode_pending ? ""
               : gpu->mig_mode_pending                ? ", on pending"
                                                      : ", off pending");
    print_clients(host, index, 0);
    putchar('\n');
    if (gpu->mig_mode)
        print_bar(gpu);
    for (unsigned slice = 0; slice < gpu_model(gpu)->memory_slices; slice++)
        if (instance_at(gpu, slice))
            print_instance(host, index, instance_at(gpu, slice));
}

static void print_host(const struct host *host)
{
    unsigned cuda = driver_branch(host->driver_branch)->cuda;
    printf("Driver %s, CUDA %u.%u, administrator is user %u%s%s\n", host->driver_version, cuda / 1000, cuda % 1000 / 10,
           host->admin_uid, host->passthrough ? ", GPUs are passed through" : "",
           !host->nvswitch         ? ""
           : host->fabric_manager ? ", NVSwitches with Fabric Manager"
                                  : ", NVSwitches without Fabric Manager");
    for (unsigned i = 0; i < STRANGE_COUNT; i++)
        if (host->gpus[0].strange[i] != strange_switches[i].standard)
            printf("strange: %s=%s\n", strange_switches[i].name,
                   strange_switches[i].words[host->gpus[0].strange[i]]);
    for (unsigned i = 0; i < host->gpu_count; i++)
        print_gpu(host, i);
    for (unsigned i = 0; i < MAX_FAULTS; i++)
        if (host->faults[i].action != FAULT_NONE)
            print_fault(&host->faults[i]);
}

/* ---- As JSON ---------------------------------------------------------------------------------------------------- */

static void json_clients(const struct host *host, unsigned gpu, uint32_t serial)
{
    const char *before = "";
    printf("\"clients\": [");
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        const struct client *client = &host->clients[i];
        char name[32];
        if (client->gpu != gpu || client->compute_instance != serial || !client_alive(client))
            continue;
        process_name(client->pid, name);
        printf("%s{\"pid\": %d, \"type\": \"%s\", \"memory_mib\": %u, \"name\": ", before, (int)client->pid,
               client_types[client->type], client->memory_mib);
        json_text(name);
        putchar('}');
        before = ", ";
    }
    putchar(']');
}

static void json_instance(const struct host *host, unsigned index, const struct gpu_instance *instance)
{
    const struct gpu *gpu = &host->gpus[index];
    const struct model *model = gpu_model(gpu);
    const struct profile *profile = &model->profiles[instance->profile];
    const char *before = "";
    printf("{\"id\": %u, \"profile\": \"%s\", \"profile_id\": %u, \"placement\": {\"start\": %u, \"size\": %u}, "
           "\"compute_instances\": [",
           instance->id, profile->name, profile->id, instance->start, profile->size);
    for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
        const struct compute_instance *compute = &instance->compute_instances[c];
        char name[64], uuid[UUID_TEXT];
        if (!compute->used)
            continue;
        name_compute_profile(name, gpu, profile, compute->profile);
        mig_uuid_text(uuid, host, gpu, instance, compute);
        printf("%s{\"id\": %u, \"profile\": \"%s\", \"profile_id\": %u, \"placement\": {\"start\": %u, \"size\": %u}, "
               "\"mig_index\": %u, \"uuid\": \"%s\", ",
               before, compute->id, name, compute->profile, compute->start, compute->size, compute->mig_index, uuid);
        json_clients(host, index, compute->serial);
        putchar('}');
        before = ", ";
    }
    printf("]}");
}

static void json_gpu(const struct host *host, unsigned index)
{
    const struct gpu *gpu = &host->gpus[index];
    const struct model *model = gpu_model(gpu);
    const char *before = "";
    char uuid[UUID_TEXT], address[PCI_ADDRESS_TEXT];
    gpu_uuid_text(uuid, gpu);
    pci_address_text(address, gpu);
    printf("{\"index\": %u, \"uuid\": \"%s\", \"pci_address\": \"%s\", \"model\": \"%s\", \"product\": \"%s\", "
           "\"pci_device_id\": %u, \"minor\": %u, \"serial\": \"%013llu\", \"memory_mib\": %u, "
           "\"slices\": {\"memory\": %u, \"compute\": %u}, \"mig_capable\": %s, \"mig_mode\": %s, "
           "\"mig_mode_pending\": %s, ",
           index, uuid, address, model->name, model->product, model->pci_device_id, gpu->minor,
           (unsigned long long)gpu->serial, model->memory_mib, model->memory_slices, model->compute_slices,
           host_has_mig(gpu) ? "true" : "false", gpu->mig_mode ? "true" : "false",
           gpu->mig_mode_pending ? "true" : "false");
    json_clients(host, index, 0);
    printf(", \"instances\": [");
    for (unsigned slice = 0; slice < model->memory_slices; slice++)
        if (instance_at(gpu, slice)) {
            printf("%s", before);
            json_instance(host, index, instance_at(gpu, slice));
            before = ", ";
        }
    printf("]}");
}

static void json_host(const struct host *host, const char *path)
{
    unsigned cuda = driver_branch(host->driver_branch)->cuda;
    const uint8_t *strange = host->gpus[0].strange;
    const char *before = "";
    printf("{\"state\": ");
    json_text(path);
    printf(", \"driver_version\": \"%s\", \"cuda_version\": \"%u.%u\", \"admin_uid\": %u, \"passthrough\": %s, "
           "\"nvswitch\": %s, \"fabric_manager\": %s, ",
           host->driver_version, cuda / 1000, cuda % 1000 / 10, host->admin_uid, host->passthrough ? "true" : "false",
           host->nvswitch ? "true" : "false", host->fabric_manager ? "true" : "false");
    printf("\"strange\": {");
    for (unsigned i = 0; i < STRANGE_COUNT; i++)
        if (strange[i] != strange_switches[i].standard) {
            printf("%s\"%s\": \"%s\"", before, strange_switches[i].name, strange_switches[i].words[strange[i]]);
            before = ", ";
        }
    before = "";
    printf("}, \"gpus\": [");
    for (unsigned i = 0; i < host->gpu_count; i++) {
        printf("%s", i ? ", " : "");
        json_gpu(host, i);
    }
    printf("], \"faults\": [");
    for (unsigned i = 0; i < MAX_FAULTS; i++)
        if (host->faults[i].action != FAULT_NONE) {
            printf("%s", before);
            json_fault(&host->faults[i]);
            before = ", ";
        }
    printf("]}\n");
}

int verb_show(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    static struct state state;
    bool json = false;
    int parsed;
    while ((parsed = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (parsed != 'j')
            return wrong_option(parsed, argv);
        json = true;
    }
    if (argv[optind])
        return wrong_usage("show takes no argument %s", argv[optind]);
    if (!open_host(&state))
        return 1;
    if (json)
        json_host(&state.current.host, state.path);
    else
        print_host(&state.current.host);
    return 0;
}
