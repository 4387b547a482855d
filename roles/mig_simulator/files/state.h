/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A simulated host and the one file that holds it.
 *
 * The file has two slots for the host. A change takes the file's lock, writes the whole new host with its checksum into
 * the slot not in use, then flips the generation, one atomic word: whoever is killed when, a reader sees the old host
 * or the new one. Reading takes no lock and, while nothing has changed, no system call. Counters of calls and faults
 * stand beside the slots as atomics. A state file is only ever replaced by rename, never written over or truncated. */
#ifndef STATE_H
#define STATE_H

#include "catalogue.h"
#include "strange.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    MAX_GPUS = 16,
    MAX_GPU_INSTANCES = 8,     /* of one GPU: no model has more placements */
    MAX_COMPUTE_INSTANCES = 8, /* of one GPU instance */
    MAX_CLIENTS = 256,
    MAX_FAULTS = 32,
    MAX_FUNCTIONS = 512
};

#define DEFAULT_STATE "/var/lib/mig-simulator/state"
#define STATE_VARIABLE "MIG_SIMULATOR_STATE"

/* ---- The host ---------------------------------------------------------------------------------------------------- */

struct compute_instance {
    uint8_t used;
    uint8_t id;         /* from 0 inside its GPU instance */
    uint8_t profile;    /* NVML_COMPUTE_INSTANCE_PROFILE_*, which is its profile id too */
    uint8_t start, size; /* its placement inside the GPU instance, in slices or eighths */
    uint8_t mig_index;  /* index of its MIG device on the GPU */
    uint32_t serial;    /* never given twice on a host: tells a handle's instance from a later one */
    uint8_t uuid[16];
};

struct gpu_instance {
    uint8_t used;
    uint8_t id;      /* nvidia-smi's GI ID */
    uint8_t profile; /* position in the model's profiles */
    uint8_t start;   /* memory slice; the size is the profile's */
    uint32_t serial;
    struct compute_instance compute_instances[MAX_COMPUTE_INSTANCES];
};

struct settings { /* what NVML can set besides MIG; all zero is the state after a reboot */
    uint8_t persistence;
    uint8_t compute_mode; /* NVML_COMPUTEMODE_* */
    uint8_t accounting;
    uint8_t reserved;
    uint16_t application_memory, application_graphics; /* MHz; 0: the default */
    uint16_t locked_memory, locked_graphics;           /* MHz, the upper bound; 0: not locked */
    uint32_t power_limit;                              /* mW; 0: the default */
};

struct gpu {
    uint32_t model; /* position in models */
    uint32_t minor;
    uint32_t pci_bus;
    uint32_t created; /* GPU instances ever created on it: varies the driver's own choices */
    uint64_t serial;
    uint8_t uuid[16];
    uint8_t mig_mode, mig_mode_pending;
    uint8_t ecc_off, ecc_off_pending; /* on the board, as Ampere's MIG mode */
    uint8_t timeouts;                 /* changes of its mode that have timed out, where they do so at first */
    uint8_t strange[STRANGE_ROOM];    /* the values of enum strange */
    struct settings settings;
    struct gpu_instance gpu_instances[MAX_GPU_INSTANCES];
};

enum client_type { COMPUTE_CLIENT, GRAPHICS_CLIENT, MPS_CLIENT, HOLDER };

struct client { /* a live process that uses a GPU or a MIG device */
    int32_t pid; /* 0: free entry */
    uint8_t type;
    uint8_t gpu;
    uint8_t reserved[2];
    uint32_t compute_instance; /* its serial; 0: the whole GPU */
    uint32_t gpu_instance;     /* the serial of the GPU instance that it subscribes to; 0: to none */
    uint32_t memory_mib;
    uint32_t unused;
    uint64_t start_time; /* of the process, in clock ticks since boot: tells it from a later one of the same pid */
};

enum fault_action { FAULT_NONE, FAULT_RETURN, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_DELAY, FAULT_LIE };

enum { ANY_FUNCTION = 0xffff };

struct fault {
    uint16_t function; /* enum function or ANY_FUNCTION */
    uint8_t action;    /* FAULT_NONE: free entry */
    uint8_t reserved;
    uint32_t value;    /* return code, or milliseconds */
    uint32_t first;    /* strikes at this call, counted from 1 when it was set */
    uint32_t times;    /* at so many calls in a row; 0: at all that follow */
};

struct host {
    uint32_t gpu_count;
    uint32_t admin_uid;   /* who counts as root */
    uint32_t next_serial; /* of the next instance */
    uint32_t driver_branch;
    char driver_version[32];
    char boot_id[40]; /* the machine's, when the state was last changed or attached to */
    uint8_t passthrough;
    uint8_t nvswitch;           /* GPUs with NVLinks are linked by NVSwitches; before Hopper they are, if not, directly */
    uint8_t fabric_manager;     /* Fabric Manager runs */
    uint8_t reserved[5];
    struct gpu gpus[MAX_GPUS];
    struct client clients[MAX_CLIENTS];
    struct fault faults[MAX_FAULTS];
};

/* ---- The file ---------------------------------------------------------------------------------------------------- */

struct counters {
    _Atomic uint64_t sessions;
    _Atomic uint64_t calls[MAX_FUNCTIONS];
    _Atomic uint64_t fault_calls[MAX_FAULTS]; /* calls that a fault has looked at */
};

enum state_result {
    STATE_OK,
    STATE_ABSENT,
    STATE_FOREIGN,     /* not a state file */
    STATE_OTHER_BUILD, /* made by another build of the simulator */
    STATE_DAMAGED,
    STATE_REPLACED,    /* the path now holds another host than when it was opened */
    STATE_READ_ONLY,
    STATE_FAILED       /* errno says why */
};

struct slot {
    uint64_t checksum; /* of all that follows */
    uint64_t generation;
    struct host host;
};

struct state {
    struct state_file *file; /* mapped; NULL: not open */
    struct counters *counters;
    bool writable;
    int lock; /* file descriptor while a change is under way, else -1 */
    dev_t device;
    ino_t inode;
    char path[PATH_MAX];
    struct slot current; /* what state_refresh last read; generation 0: nothing */
    struct slot draft;   /* the next host, during a change */
};

/* The state file that this process means: MIG_SIMULATOR_STATE or the default. */
const char *state_path(void);

/* Map the file at `path` and read it. On failure nothing stays open. */
enum state_result state_open(struct state *state, const char *path);
void state_close(struct state *state);

/* Bring state->current up to date. No system call while nothing has changed. */
enum state_result state_refresh(struct state *state);

/* A change: begin takes the lock and fills state->draft with the newest host; commit makes the draft the host;
 * cancel drops it. Begin fails without holding anything. */
enum state_result state_change_begin(struct state *state);
void state_change_commit(struct state *state);
void state_change_cancel(struct state *state);

/* Make `path` hold this host, in place of whatever was there, atomically. */
enum state_result state_create(const char *path, const struct host *host);

/* One sentence on what went wrong and what to do. `text` gets at most `length` bytes. */
void state_explain(enum state_result result, const char *path, char *text, size_t length);

#endif
