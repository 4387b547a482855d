/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "host.h"

#include "clients.h"
#include "identifiers.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void host_read_boot_id(char text[40])
{
    memset(text, 0, 40);
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    ssize_t length = read(file, text, 36);
    close(file);
    if (length != 36)
        memset(text, 0, 40);
}

enum state_result host_attach(struct state *state, const char *path)
{
    char boot_id[40];
    enum state_result result = state_open(state, path);
    if (result != STATE_OK)
        return result;
    host_read_boot_id(boot_id);
    if (!strcmp(boot_id, state->current.host.boot_id) || !state->writable)
        return STATE_OK;
    result = state_change_begin(state);
    if (result != STATE_OK) {
        state_close(state);
        return result;
    }
    if (strcmp(boot_id, state->draft.host.boot_id)) {
        host_reboot(&state->draft.host);
        memcpy(state->draft.host.boot_id, boot_id, sizeof boot_id);
        host_commit(state);
    } else { /* another process was first */
        state_change_cancel(state);
    }
    return STATE_OK;
}

void host_commit(struct state *state)
{
    host_show_instances(state->path, &state->current.host, &state->draft.host);
    state_change_commit(state);
}

bool host_has_mig(const struct gpu *gpu)
{
    return models[gpu->model].compute_slices > 0;
}

bool host_tells_profiles(const struct host *host, const struct gpu *gpu)
{
    switch (gpu->strange[MIG_OFF_PROFILES]) {
    case MIG_OFF_REFUSE:
        return false;
    case MIG_OFF_DRIVER: /* RM's answers, up to 545.29.03 and from 550 on */
        return host->driver_branch >= 550;
    default:
        return models[gpu->model].architecture >= HOPPER;
    }
}

bool host_add_gpus(struct host *host, const struct model *model, unsigned count, bool mig, uint64_t seed)
{
    /* The buses of an eight-GPU HGX board, and some more. */
    static const unsigned char buses[MAX_GPUS] = {0x07, 0x0f, 0x47, 0x4e, 0x87, 0x90, 0xb7, 0xbd,
                                                  0xc1, 0xc5, 0xc9, 0xcd, 0xd1, 0xd5, 0xd9, 0xdd};
    if (count > MAX_GPUS - host->gpu_count)
        return false;
    for (; count; count--) {
        unsigned index = host->gpu_count++;
        struct gpu *gpu = &host->gpus[index];
        gpu->model = (uint32_t)(model - models);
        gpu->minor = index;
        gpu->pci_bus = buses[index];
        gpu->mig_mode = gpu->mig_mode_pending = mig && host_has_mig(gpu);
        make_uuid(gpu->uuid, 4, (const uint64_t[]){seed, index, gpu->model, 0}, 4);
        gpu->serial = 1320000000000u + mix(seed ^ index) % 9999999999u;
    }
    return true;
}

void gpu_reset(struct gpu *gpu)
{
    if (gpu->strange[MINOR] == MINOR_MOVES && gpu->mig_mode != gpu->mig_mode_pending)
        gpu->minor ^= MAX_GPUS; /* below 32, as mig-minors has GPUs */
    gpu->mig_mode = gpu->mig_mode_pending;
    gpu->ecc_off = gpu->ecc_off_pending;
    memset(gpu->gpu_instances, 0, sizeof gpu->gpu_instances);
}

bool host_resets_together(const struct host *host, const struct gpu *gpu)
{
    const struct model *model = &models[gpu->model];
    return host->nvswitch && !host->fabric_manager && model->board.nvlinks && model->architecture == AMPERE;
}

static const char *why_not_reset(const struct host *host, unsigned gpu)
{
    if (!host_admin(host))
        return "Insufficient Permissions";
    if (host->passthrough)
        return "Not Supported";
    return gpu_busy(host, gpu) ? "In use by another client" : NULL;
}

void host_reset_gpus(struct state *state, enum reset_result results[MAX_GPUS], const char *reasons[MAX_GPUS])
{
    struct host *host = &state->draft.host;
    if (state_change_begin(state) != STATE_OK) {
        for (unsigned i = 0; i < MAX_GPUS; i++)
            reasons[i] = "the state file cannot be changed";
        return;
    }
    bool complete = true, group = false, free = true;
    for (unsigned i = 0; i < host->gpu_count; i++) {
        bool together = host_resets_together(host, &host->gpus[i]);
        if (results[i] == RESET_WANTED) {
            reasons[i] = why_not_reset(host, i);
            group = group || (together && !host->passthrough && host_admin(host));
            free = free && !(together && reasons[i]);
        } else if (together) {
            complete = false;
        }
    }
    for (unsigned i = 0; i < host->gpu_count; i++) {
        bool together = host_resets_together(host, &host->gpus[i]);
        if (group && !complete) {
            if (together && results[i] == RESET_NOT_WANTED)
                results[i] = RESET_MISSING;
        } else if (results[i] == RESET_WANTED && !reasons[i] && (free || !together)) {
            gpu_reset(&host->gpus[i]);
            results[i] = together ? RESET_DONE_TOGETHER : RESET_DONE;
        }
    }
    host_commit(state);
}

/* Ampere keeps the mode in the board's InfoROM; from Hopper on it lives in the driver. */
static void start_again(struct host *host)
{
    for (unsigned i = 0; i < host->gpu_count; i++) {
        struct gpu *gpu = &host->gpus[i];
        if (models[gpu->model].architecture != AMPERE && gpu->strange[RESTART] == RESTART_CLEARS)
            gpu->mig_mode_pending = 0;
        /* RMSetMIGAutoOnlineMode, and RmMIGBootConfigurationGI_N: the GPU instances, without what was in them. */
        if (gpu->strange[RESTART] != RESTART_KEEPS_LAYOUT || gpu->mig_mode != gpu->mig_mode_pending)
            gpu_reset(gpu);
        for (unsigned g = 0; g < MAX_GPU_INSTANCES; g++)
            memset(gpu->gpu_instances[g].compute_instances, 0, sizeof gpu->gpu_instances[g].compute_instances);
        gpu->timeouts = 0;
        gpu->settings = (struct settings){0};
    }
    memset(host->clients, 0, sizeof host->clients);
}

void host_reboot(struct host *host)
{
    start_again(host);
}

bool host_reload_driver(struct host *host)
{
    for (unsigned i = 0; i < host->gpu_count; i++)
        if (gpu_busy(host, i))
            return false;
    start_again(host);
    return true;
}

bool host_admin(const struct host *host)
{
    return geteuid() == host->admin_uid;
}
