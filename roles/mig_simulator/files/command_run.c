/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator run and hold: this process becomes the client. */
#include "command.h"

#include "clients.h"
#include "host.h"
#include "identifiers.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const client_types[] = {[COMPUTE_CLIENT] = "compute", [GRAPHICS_CLIENT] = "graphics",
                                    [MPS_CLIENT] = "mps", [HOLDER] = "holder"};

/* What a client is said to use, in MiB. */
enum { CLIENT_MEMORY = 512 };

/* Whether a GPU in MIG mode may have clients of its own: some find one that is empty, and then are in the way. */
static bool takes_clients(const struct gpu *gpu)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        if (gpu->gpu_instances[i].used)
            return false;
    return gpu->strange[FIRST_INSTANCE] != FIRST_INSTANCE_FREE;
}

/* The GPU instance of this id on the client's GPU. */
static int find_gpu_instance(const struct host *host, const char *id, struct client *client)
{
    unsigned long number;
    const struct gpu_instance *instances = host->gpus[client->gpu].gpu_instances;
    for (unsigned i = 0; number_of(id, UINT8_MAX, &number) && i < MAX_GPU_INSTANCES; i++)
        if (instances[i].used && instances[i].id == number) {
            client->gpu_instance = instances[i].serial;
            return 0;
        }
    return failure("there is no GPU instance %s on that GPU; see mig-simulator show", id);
}

/* Fill in what the name means; returns the exit status. */
static int find_device(const struct host *host, const char *name, struct client *client)
{
    const struct compute_instance *compute = NULL;
    unsigned long number;
    unsigned gpu;
    if (number_of(name, MAX_GPUS, &number) && number < host->gpu_count)
        gpu = (unsigned)number;
    else if (!find_uuid(host, name, &gpu, &compute))
        return failure("there is no device %s on this host; see mig-simulator show", name);
    if (!compute && host->gpus[gpu].mig_mode && client->type != HOLDER && !takes_clients(&host->gpus[gpu]))
        return failure("GPU %s is in MIG mode; name one of its MIG devices by its UUID", name);
    client->gpu = (uint8_t)gpu;
    client->compute_instance = compute ? compute->serial : 0;
    return 0;
}

/* Have the GPU's device file open, and a GPU instance's, where the host shows them, for as long as this process lives:
 * the command inherits them. No driver answers an open that would read or write. */
static void open_device_files(unsigned minor, const char *gpu_instance)
{
    char path[64];
    snprintf(path, sizeof path, "/dev/nvidia%u", minor);
    (void)open(path, O_PATH);
    if (gpu_instance) {
        snprintf(path, sizeof path, "/dev/nvidia-caps/nvidia-cap%u",
                 host_capability_minor(minor, (unsigned)strtoul(gpu_instance, NULL, 10)));
        (void)open(path, O_PATH);
    }
}

/* Register this process, then become the command: the pid is the command's. */
static int become(enum client_type type, const char *device, const char *gpu_instance, char **command)
{
    static struct state state;
    struct client client = {.pid = getpid(), .type = (uint8_t)type, .memory_mib = type == HOLDER ? 0 : CLIENT_MEMORY};
    if (!process_start_time(client.pid, &client.start_time))
        return failure("/proc does not show this process");
    if (!open_host(&state) || !begin_change(&state))
        return 1;
    int status = find_device(&state.draft.host, device, &client);
    if (!status && gpu_instance)
        status = find_gpu_instance(&state.draft.host, gpu_instance, &client);
    if (!status && !client_add(&state.draft.host, &client))
        status = failure("a simulated host has at most %d clients", MAX_CLIENTS);
    if (status) {
        state_change_cancel(&state);
        return status;
    }
    unsigned minor = state.draft.host.gpus[client.gpu].minor;
    state_change_commit(&state);
    state_close(&state);
    open_device_files(minor, gpu_instance);
    execvp(*command, command);
    return failure("%s: %s", *command, strerror(errno));
}

int verb_run(int argc, char **argv)
{
    static const struct option options[] = {{"device", required_argument, NULL, 'd'},
                                            {"type", required_argument, NULL, 't'},
                                            {0}};
    const char *device = NULL;
    unsigned type = COMPUTE_CLIENT;
    int parsed;
    while ((parsed = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (parsed == 'd') {
            device = optarg;
        } else if (parsed == 't') {
            for (type = 0; type < HOLDER && strcmp(optarg, client_types[type]); type++)
                ;
            if (type == HOLDER)
                return wrong_usage("--type %s: expected compute, graphics or mps", optarg);
        } else {
            return wrong_option(parsed, argv);
        }
    }
    if (!device || !argv[optind])
        return wrong_usage("run needs --device and a command; see mig-simulator run --help");
    return become((enum client_type)type, device, NULL, argv + optind);
}

int verb_hold(int argc, char **argv)
{
    static const struct option options[] = {{"gpu", required_argument, NULL, 'g'},
                                            {"gpu-instance", required_argument, NULL, 'i'},
                                            {0}};
    const char *gpu = NULL, *gpu_instance = NULL;
    int parsed;
    while ((parsed = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (parsed == 'g')
            gpu = optarg;
        else if (parsed == 'i')
            gpu_instance = optarg;
        else
            return wrong_option(parsed, argv);
    }
    if (!gpu || !argv[optind])
        return wrong_usage("hold needs --gpu and a command; see mig-simulator hold --help");
    if (!strncmp(gpu, "MIG-", 4))
        return wrong_usage("--gpu %s: a GPU is held, not a MIG device", gpu);
    return become(HOLDER, gpu, gpu_instance, argv + optind);
}
