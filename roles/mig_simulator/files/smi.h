/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shared by the files of the nvidia-smi stand-in. */
#ifndef SMI_H
#define SMI_H

#include <stdbool.h>
#include <stddef.h>

#include "nvml.h"

#define SMI_MAX_GPUS 64
#define SMI_MAX_INSTANCES 64
#define SMI_MAX_PROCESSES 256
#define SMI_TEXT 128

typedef struct {
    unsigned int count;
    nvmlDevice_t devices[SMI_MAX_GPUS];
} smi_gpus;

/* Exit status for an NVML return code: nvidia-smi passes on those that its manual names, and says 255 for the rest. */
int smi_exit_status(nvmlReturn_t result);

/* All GPUs, or those that the comma-separated indexes, UUIDs and PCI addresses of `selection` name (NULL: all).
 * Returns 0, or the exit status after a message. */
int smi_select(const char *selection, smi_gpus *gpus);

unsigned int smi_index(nvmlDevice_t device);
/* PCI address as 00000000:07:00.0, in a buffer that the next call overwrites. */
const char *smi_bus_id(nvmlDevice_t device);
/* Memory of a GPU or MIG device; `reserved` is 0 where the driver is too old to tell it apart from what is used. */
nvmlReturn_t smi_memory(nvmlDevice_t device, nvmlMemory_v2_t *memory);
bool smi_mig_enabled(nvmlDevice_t device);
/* "3g.20gb" of a MIG device, in a buffer that the next call overwrites. */
const char *smi_mig_profile(nvmlDevice_t mig_device);
/* Name of a process, or "[Not Found]" once it is gone. */
void smi_process_name(unsigned int pid, char *name, size_t size);
/* The compute processes of a GPU (at most SMI_MAX_PROCESSES), with the instances that they run in; returns how many. */
unsigned int smi_compute_processes(nvmlDevice_t device, nvmlProcessInfo_t *processes);

/* What the command line asks for; each prints and returns the exit status. */
int smi_list(const smi_gpus *gpus);
int smi_table(const smi_gpus *gpus);
int smi_query_gpu(const smi_gpus *gpus, const char *fields, const char *format);
int smi_query_compute_apps(const smi_gpus *gpus, const char *fields, const char *format);
int smi_set_mig_mode(const smi_gpus *gpus, const char *mode);
int smi_set_persistence_mode(const smi_gpus *gpus, const char *mode);
int smi_reset(const smi_gpus *gpus);
int smi_mig(int count, char **arguments);

/* ---- Fields of --query-gpu (smi_fields.c) ---- */

#define SMI_VALUE_SIZE 256

typedef struct {
    const char *name, *unit;
    /* Prints the value without its unit into SMI_VALUE_SIZE bytes; what does not succeed is shown as [N/A]. */
    nvmlReturn_t (*read)(nvmlDevice_t device, int argument, char *value);
    int argument;
} smi_field;

extern const smi_field smi_fields[];
extern const int smi_field_count;

/* ---- The mig command (smi_mig*.c) ---- */

typedef struct {
    unsigned int id;
    unsigned int index;     /* NVML's, by which instances are listed */
    unsigned int slices;    /* compute slices */
    unsigned int instances; /* how many fit on an empty parent */
    unsigned int multiprocessors, copy_engines, decoders, encoders, jpegs, ofas;
    double memory_gib;
    bool p2p;
    bool spans;           /* compute instance profile: spans the GPU instance, the default one */
    char name[SMI_TEXT];  /* "MIG 3g.20gb" */
} smi_profile;

typedef struct {
    nvmlGpuInstance_t handle;
    nvmlGpuInstanceInfo_t info;
    smi_profile profile;
} smi_gpu_instance;

typedef struct {
    nvmlComputeInstance_t handle;
    nvmlComputeInstanceInfo_t info;
    smi_profile profile;
} smi_compute_instance;

/* The profiles of a GPU, by slices, memory and id, or of a GPU instance; `count` gives how many. */
nvmlReturn_t smi_gpu_instance_profiles(nvmlDevice_t device, smi_profile *profiles, unsigned int *count);
nvmlReturn_t smi_compute_instance_profiles(const smi_gpu_instance *parent, smi_profile *profiles, unsigned int *count);
/* The instances that exist, by profile and then by id. */
nvmlReturn_t smi_gpu_instances(nvmlDevice_t device, smi_gpu_instance *instances, unsigned int *count);
nvmlReturn_t smi_compute_instances(const smi_gpu_instance *parent, smi_compute_instance *instances,
                                   unsigned int *count);

typedef struct {
    smi_gpus gpus;              /* those selected that have MIG enabled */
    const char *gpu_instances;  /* comma-separated ids of -gi, NULL for all */
    const char *compute_instances;
    const char *profiles; /* of -cgi or -cci, NULL for the default */
    bool with_compute_instance;
} smi_mig_options;

/* Whether a comma-separated list of ids holds `id`; NULL holds every one. */
bool smi_in_list(const char *list, unsigned int id);

/* Do something to the GPU instances that the options select, until it fails; `any` tells whether there was anything to
 * do it to. Prints "Failed to <doing>" or "No <things> found" and returns the exit status. */
typedef nvmlReturn_t (*smi_action)(unsigned int gpu, const smi_gpu_instance *instance, const smi_mig_options *options,
                                   bool *any);
int smi_for_each_gpu_instance(const smi_mig_options *options, smi_action act, const char *doing, const char *things);

int smi_list_gpu_instance_profiles(const smi_mig_options *options);
int smi_list_gpu_instance_placements(const smi_mig_options *options);
int smi_list_gpu_instances(const smi_mig_options *options);
int smi_list_compute_instance_profiles(const smi_mig_options *options);
int smi_list_compute_instance_placements(const smi_mig_options *options);
int smi_list_compute_instances(const smi_mig_options *options);
int smi_create_gpu_instances(const smi_mig_options *options);
int smi_create_compute_instances(const smi_mig_options *options);
int smi_destroy_gpu_instances(const smi_mig_options *options);
int smi_destroy_compute_instances(const smi_mig_options *options);

#endif
