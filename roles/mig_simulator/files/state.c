/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Parts begin at multiples of the largest page size of x86-64 and arm64: a process that may not write the file maps it
 * privately, and its own counting must not take the other parts' pages with it. */
enum { PART = 65536 };

struct header {
    char magic[8];
    uint64_t build;
    uint64_t size;
    _Atomic uint64_t generation; /* its lowest bit names the slot in use */
};

struct state_file {
    union {
        struct header header;
        char header_part[PART];
    };
    union {
        struct counters counters;
        char counters_part[PART];
    };
    union {
        struct slot slot;
        char part[PART];
    } slots[2];
};

_Static_assert(sizeof(struct state_file) == 4 * PART, "each part holds what belongs there");

static const char magic[] = "MIGSTATE";

/* Ids and indexes stand in words of 32 bits. */
enum { MAX_ID = 31 };

/* A reader gives up on reading beside a writer after so many tries and waits for the lock. */
enum { READ_TRIES = 64 };

static uint64_t checksum(const struct slot *slot)
{
    const unsigned char *bytes = (const unsigned char *)&slot->generation;
    size_t length = sizeof *slot - offsetof(struct slot, generation);
    uint64_t sum = length;
    for (size_t i = 0; i + sizeof sum <= length; i += sizeof sum) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 29;
    }
    return sum;
}

_Static_assert((sizeof(struct slot) - offsetof(struct slot, generation)) % sizeof(uint64_t) == 0,
               "the checksum takes whole words");

/* Whether every number in it that is used as an index or a count is within bounds. */
static bool plausible(const struct host *host)
{
    if (host->gpu_count > MAX_GPUS || !driver_branch(host->driver_branch) ||
        !memchr(host->driver_version, 0, sizeof host->driver_version) ||
        !memchr(host->boot_id, 0, sizeof host->boot_id))
        return false;
    for (unsigned g = 0; g < host->gpu_count; g++) {
        const struct gpu *gpu = &host->gpus[g];
        if (gpu->model >= model_count)
            return false;
        if (strange_broken(gpu->strange))
            return false;
        const struct model *model = strange_model(gpu->model, gpu->strange);
        for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
            const struct gpu_instance *instance = &gpu->gpu_instances[i];
            if (!instance->used)
                continue;
            if (instance->profile >= model->profile_count || instance->id > MAX_ID ||
                instance->start + model->profiles[instance->profile].size > model->memory_slices)
                return false;
            for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++) {
                const struct compute_instance *compute = &instance->compute_instances[c];
                if (compute->used && (compute->start + compute->size > MAX_COMPUTE_INSTANCES || compute->profile > 7 ||
                                      compute->id > MAX_ID || compute->mig_index > MAX_ID))
                    return false;
            }
        }
    }
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (host->clients[i].pid && (host->clients[i].gpu >= host->gpu_count || host->clients[i].type > HOLDER))
            return false;
    for (unsigned i = 0; i < MAX_FAULTS; i++)
        if (host->faults[i].action > FAULT_LIE)
            return false;
    return true;
}

const char *state_path(void)
{
    const char *path = getenv(STATE_VARIABLE);
    return path && *path ? path : DEFAULT_STATE;
}

/* Map the open file. The length is checked before: a page beyond the end of a file cannot be read. */
static enum state_result map(struct state *state, int file)
{
    struct stat status;
    struct header header;
    if (fstat(file, &status))
        return STATE_FAILED;
    if (!S_ISREG(status.st_mode) || pread(file, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.magic, magic, sizeof header.magic))
        return STATE_FOREIGN;
    if (header.build != build_identity)
        return STATE_OTHER_BUILD;
    if (header.size != sizeof(struct state_file) || status.st_size != (off_t)sizeof(struct state_file))
        return STATE_DAMAGED;
    void *place = mmap(NULL, sizeof(struct state_file), PROT_READ | PROT_WRITE,
                       state->writable ? MAP_SHARED : MAP_PRIVATE, file, 0);
    if (place == MAP_FAILED)
        return STATE_FAILED;
    state->file = place;
    state->counters = &state->file->counters;
    state->device = status.st_dev;
    state->inode = status.st_ino;
    return STATE_OK;
}

enum state_result state_open(struct state *state, const char *path)
{
    state->file = NULL;
    state->lock = -1;
    state->current.generation = 0;
    state->writable = true;
    if (!realpath(path, state->path))
        return errno == ENOENT || errno == ENOTDIR ? STATE_ABSENT : STATE_FAILED;
    int file = open(state->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        state->writable = false;
        file = open(state->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    if (file < 0)
        return errno == EISDIR ? STATE_FOREIGN : STATE_FAILED;
    enum state_result result = map(state, file);
    int error = errno;
    close(file);
    if (result == STATE_OK && (result = state_refresh(state)) != STATE_OK)
        state_close(state);
    errno = error;
    return result;
}

void state_close(struct state *state)
{
    if (state->file)
        munmap(state->file, sizeof *state->file);
    state->file = NULL;
}

static uint64_t newest_generation(const struct state *state)
{
    return atomic_load_explicit(&state->file->header.generation, memory_order_acquire);
}

/* Copy the slot of the newest generation. False: a writer came between, what was read means nothing. */
static bool read_slot(struct state *state, enum state_result *result)
{
    uint64_t generation = newest_generation(state);
    memcpy(&state->current, &state->file->slots[generation & 1].slot, sizeof state->current);
    atomic_thread_fence(memory_order_acquire);
    if (newest_generation(state) != generation)
        return false;
    if (generation && state->current.generation == generation &&
        state->current.checksum == checksum(&state->current) && plausible(&state->current.host)) {
        *result = STATE_OK;
    } else {
        *result = STATE_DAMAGED;
        state->current.generation = 0;
    }
    return true;
}

enum state_result state_refresh(struct state *state)
{
    enum state_result result = STATE_OK;
    if (state->current.generation && newest_generation(state) == state->current.generation)
        return STATE_OK;
    for (int tries = 0; tries < READ_TRIES; tries++)
        if (read_slot(state, &result))
            return result;
    int file = state->lock >= 0 ? -1 : open(state->path, O_RDONLY | O_CLOEXEC);
    if (file >= 0)
        flock(file, LOCK_SH);
    while (!read_slot(state, &result))
        ;
    if (file >= 0)
        close(file);
    return result;
}

enum state_result state_change_begin(struct state *state)
{
    struct stat status;
    if (!state->writable)
        return STATE_READ_ONLY;
    int file = open(state->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return errno == ENOENT ? STATE_REPLACED : STATE_FAILED;
    enum state_result result = STATE_OK;
    while (flock(file, LOCK_EX))
        if (errno != EINTR) {
            result = STATE_FAILED;
            break;
        }
    if (result == STATE_OK &&
        (fstat(file, &status) || status.st_dev != state->device || status.st_ino != state->inode))
        result = STATE_REPLACED;
    state->lock = file;
    if (result == STATE_OK)
        result = state_refresh(state);
    if (result != STATE_OK) {
        int error = errno;
        state_change_cancel(state);
        errno = error;
        return result;
    }
    memcpy(&state->draft, &state->current, sizeof state->draft);
    return STATE_OK;
}

void state_change_cancel(struct state *state)
{
    close(state->lock); /* ends the lock */
    state->lock = -1;
}

void state_change_commit(struct state *state)
{
    uint64_t generation = state->current.generation + 1;
    state->draft.generation = generation;
    state->draft.checksum = checksum(&state->draft);
    memcpy(&state->file->slots[generation & 1].slot, &state->draft, sizeof state->draft);
    atomic_store_explicit(&state->file->header.generation, generation, memory_order_release);
    memcpy(&state->current, &state->draft, sizeof state->current);
    state_change_cancel(state);
}

/* Write all of it, so that no page of the parts in use is a hole: a full disk shows here and not as a signal later. */
static bool write_file(int file, const struct host *host)
{
    struct state_file *content = calloc(1, sizeof *content);
    if (!content)
        return false;
    memcpy(content->header.magic, magic, sizeof content->header.magic);
    content->header.build = build_identity;
    content->header.size = sizeof *content;
    atomic_store(&content->header.generation, 2);
    struct slot *slot = &content->slots[0].slot;
    slot->generation = 2;
    slot->host = *host;
    slot->checksum = checksum(slot);
    ssize_t written = 0;
    for (size_t done = 0; done < sizeof *content; done += (size_t)written) {
        written = write(file, (char *)content + done, sizeof *content - done);
        if (written <= 0)
            break;
    }
    free(content);
    return written > 0;
}

enum state_result state_create(const char *path, const struct host *host)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return STATE_FAILED;
    }
    int file = mkstemp(temporary);
    if (file < 0)
        return STATE_FAILED;
    /* Every user of the host counts its calls here and is a client. */
    bool good = write_file(file, host) && !fchmod(file, 0666);
    good = !close(file) && good;
    if (good && !rename(temporary, path))
        return STATE_OK;
    int error = errno;
    unlink(temporary);
    errno = error;
    return STATE_FAILED;
}

void state_explain(enum state_result result, const char *path, char *text, size_t length)
{
    static const char *const why[] = {
        [STATE_OK] = "is in order",
        [STATE_ABSENT] = "is not there; make a simulated host with: mig-simulator init MODEL",
        [STATE_FOREIGN] = ("is not a state file of simulated GPUs; name another path in " STATE_VARIABLE),
        [STATE_OTHER_BUILD] = "was made by another build of the simulator; make it anew with: mig-simulator init MODEL",
        [STATE_DAMAGED] = "is damaged; make it anew with: mig-simulator init MODEL",
        [STATE_REPLACED] = "was replaced by another host meanwhile; try again",
        [STATE_READ_ONLY] = "may not be written by this user",
    };
    snprintf(text, length, "%s %s", path, result == STATE_FAILED ? strerror(errno) : why[result]);
}
