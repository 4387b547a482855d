/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fuzz_state STATE ROUNDS SEED: damage a state file at random (bytes, length; and hosts with any content under a right
 * checksum) and ask NVML about it. It may refuse; it may not crash, and its answers stay within their bounds. */
#include "check.h"
#include "host.h"
#include "nvml.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char *content;
static size_t length;

static void load(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    HOLDS(file >= 0 && !fstat(file, &status));
    length = (size_t)status.st_size;
    content = malloc(length);
    HOLDS(content && read(file, content, length) == (ssize_t)length);
    close(file);
}

/* A state file is replaced, never written over: so is the damaged one. */
static void store(const char *path, const unsigned char *bytes, size_t count)
{
    unlink(path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    HOLDS(file >= 0 && write(file, bytes, count) == (ssize_t)count);
    close(file);
}

static void ask_gpu(unsigned index)
{
    nvmlDevice_t gpu, device;
    nvmlGpuInstance_t instances[MAX_GPUS];
    unsigned count = 0, current, pending;
    char text[96];
    HOLDS(nvmlDeviceGetHandleByIndex_v2(index, &gpu) == NVML_SUCCESS);
    nvmlDeviceGetName(gpu, text, sizeof text);
    nvmlDeviceGetUUID(gpu, text, sizeof text);
    nvmlDeviceGetMigMode(gpu, &current, &pending);
    for (unsigned i = 0; i < 8; i++)
        if (nvmlDeviceGetMigDeviceHandleByIndex(gpu, i, &device) == NVML_SUCCESS) {
            nvmlDeviceAttributes_t attributes;
            nvmlProcessInfo_t processes[8];
            unsigned number = 8;
            nvmlDeviceGetName(device, text, sizeof text);
            nvmlDeviceGetUUID(device, text, sizeof text);
            nvmlDeviceGetAttributes_v2(device, &attributes);
            nvmlDeviceGetComputeRunningProcesses_v3(device, &number, processes);
        }
    for (unsigned id = 0; id < 70; id++) {
        nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, id, &count);
        if (nvmlDeviceGetGpuInstances(gpu, id, instances, &count) == NVML_SUCCESS)
            HOLDS(count <= MAX_GPU_INSTANCES);
    }
    if (nvmlDeviceCreateGpuInstance(gpu, 19, instances) == NVML_SUCCESS) {
        nvmlComputeInstance_t compute;
        nvmlGpuInstanceCreateComputeInstance(instances[0], 0, &compute);
        nvmlGpuInstanceDestroy(instances[0]);
    }
}

static void ask(unsigned long *accepted)
{
    unsigned count = 0;
    if (nvmlInit_v2() != NVML_SUCCESS)
        return;
    ++*accepted;
    HOLDS(nvmlDeviceGetCount_v2(&count) == NVML_SUCCESS || count == 0);
    HOLDS(count <= MAX_GPUS);
    for (unsigned i = 0; i < count; i++)
        ask_gpu(i);
    nvmlShutdown();
}

/* Any bytes in the host, under a right checksum. */
static void damage_host(const char *path, uint64_t *seed)
{
    static struct state state;
    HOLDS(state_open(&state, path) == STATE_OK && state_change_begin(&state) == STATE_OK);
    unsigned char *host = (unsigned char *)&state.draft.host;
    /* Mostly in the few bytes at its head and in the first GPUs, where a change matters. */
    size_t reach = random_number(seed) % 3 ? offsetof(struct host, gpus) + 3 * sizeof(struct gpu) : sizeof(struct host);
    for (uint64_t i = random_number(seed) % 40 + 1; i; i--)
        host[random_number(seed) % reach] = (unsigned char)random_number(seed);
    state_change_commit(&state);
    state_close(&state);
}

static void damage_file(const char *path, uint64_t *seed)
{
    unsigned char *bytes = malloc(length + 4096);
    size_t count = length;
    HOLDS(bytes);
    memset(bytes, 0, length + 4096);
    memcpy(bytes, content, length);
    switch (random_number(seed) % 4) {
    case 0:
        count = random_number(seed) % (length + 4096);
        break;
    case 1: /* the header */
        bytes[random_number(seed) % 64] ^= (unsigned char)(1 + random_number(seed) % 255);
        break;
    default:
        for (uint64_t i = random_number(seed) % 20 + 1; i; i--)
            bytes[random_number(seed) % length] = (unsigned char)random_number(seed);
    }
    store(path, bytes, count);
    free(bytes);
}

int main(int argc, char **argv)
{
    HOLDS(argc == 4 && !setenv("MIG_SIMULATOR_STATE", argv[1], 1));
    uint64_t seed = seed_from(argv[3]);
    unsigned long accepted = 0, rounds = strtoul(argv[2], NULL, 10);
    load(argv[1]);
    for (unsigned long i = 0; i < rounds; i++) {
        if (i % 2) {
            store(argv[1], content, length);
            damage_host(argv[1], &seed);
        } else {
            damage_file(argv[1], &seed);
        }
        ask(&accepted);
    }
    free(content);
    HOLDS(accepted > 0 && accepted < rounds);
    printf("%lu of %lu accepted\n", accepted, rounds);
    return 0;
}
