/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The files of a simulated host that stand for /proc/driver, beside its state file. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool place(char text[PATH_MAX], const char *path, const char *name)
{
    if (snprintf(text, PATH_MAX, "%s.proc/%s", path, name) < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

static bool make_directory(const char *path, const char *name)
{
    char directory[PATH_MAX];
    return place(directory, path, name) && (!mkdir(directory, 0755) || errno == EEXIST);
}

/* A new file in the directory that is there, put in its place by rename. */
static bool make_file(const char *path, const char *name, mode_t mode, uid_t owner, void (*write)(FILE *, const void *),
                      const void *what)
{
    char final[PATH_MAX], temporary[PATH_MAX];
    if (!place(final, path, name) || snprintf(temporary, PATH_MAX, "%s.new", final) >= PATH_MAX)
        return false;
    unlink(temporary);
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!file)
        return false;
    write(file, what);
    /* Who may not give files away keeps it, and may then not read it either. */
    bool kept = owner != geteuid() && fchown(descriptor, owner, (gid_t)-1);
    bool good = !fchmod(descriptor, kept ? 0 : mode);
    good = !fclose(file) && good && !rename(temporary, final);
    if (!good)
        unlink(temporary);
    return good;
}

static void write_config(FILE *file, const void *what)
{
    (void)what;
    fputs("DeviceFileMinor: 1\nDeviceFileMode: 256\nDeviceFileModify: 1\n", file);
}

static void write_version(FILE *file, const void *host)
{
    fprintf(file, "NVRM version: NVIDIA UNIX Open Kernel Module for %s  %s  Release Build\n",
#ifdef __aarch64__
            "aarch64",
#else
            "x86_64",
#endif
            ((const struct host *)host)->driver_version);
}

/* What the driver numbers, whether it is there or not. */
enum { NUMBERED_GPUS = 32, NUMBERED_GPU_INSTANCES = 15, NUMBERED_COMPUTE_INSTANCES = 8, FIRST_NUMBER = 3 };

unsigned host_capability_minor(unsigned gpu, unsigned gpu_instance)
{
    return FIRST_NUMBER + (gpu * NUMBERED_GPU_INSTANCES + gpu_instance) * (1 + NUMBERED_COMPUTE_INSTANCES);
}

static void write_minors(FILE *file, const void *what)
{
    (void)what;
    fputs("config 1\nmonitor 2\n", file);
    for (unsigned gpu = 0; gpu < NUMBERED_GPUS; gpu++)
        for (unsigned gi = 0; gi < NUMBERED_GPU_INSTANCES; gi++) {
            unsigned minor = host_capability_minor(gpu, gi);
            fprintf(file, "gpu%u/gi%u/access %u\n", gpu, gi, minor);
            for (unsigned ci = 0; ci < NUMBERED_COMPUTE_INSTANCES; ci++)
                fprintf(file, "gpu%u/gi%u/ci%u/access %u\n", gpu, gi, ci, minor + 1 + ci);
        }
}

static void write_monitor(FILE *file, const void *what)
{
    (void)what;
    fputs("DeviceFileMinor: 2\nDeviceFileMode: 292\nDeviceFileModify: 1\n", file);
}

/* Of NVLink and of the whole system: their numbers stand before and after those of MIG. */
static void write_nvlink_minors(FILE *file, const void *what)
{
    (void)what;
    fputs("fabric-mgmt 0\n", file);
}

static void write_system_minors(FILE *file, const void *what)
{
    (void)what;
    fprintf(file, "fabric-imex-mgmt %u\n", host_capability_minor(NUMBERED_GPUS, 0));
}

/* Whoever writes "DeviceFileModify: 0" to the driver's file changes that line. In a plain file that is the first. */
static void write_instance(FILE *file, const void *minor)
{
    fprintf(file, "DeviceFileModify: 1\nDeviceFileMinor: %u\nDeviceFileMode: 292\n", *(const unsigned *)minor);
}

/* The instances of a GPU by id: bit 0 for the GPU instance, the next ones for its compute instances. */
static void find_instances(const struct gpu *gpu, uint16_t instances[NUMBERED_GPU_INSTANCES])
{
    memset(instances, 0, NUMBERED_GPU_INSTANCES * sizeof *instances);
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++) {
        const struct gpu_instance *instance = &gpu->gpu_instances[i];
        if (!instance->used || instance->id >= NUMBERED_GPU_INSTANCES)
            continue;
        instances[instance->id] |= 1;
        for (unsigned c = 0; c < MAX_COMPUTE_INSTANCES; c++)
            if (instance->compute_instances[c].used && instance->compute_instances[c].id < NUMBERED_COMPUTE_INSTANCES)
                instances[instance->id] |= (uint16_t)(2u << instance->compute_instances[c].id);
    }
}

/* Show or take away one capability: bit 0 of the GPU instance, the next ones of a compute instance. */
static void show_capability(const char *path, unsigned gpu, unsigned gi, unsigned bit, bool there)
{
    char directory[96], name[112], place_of[PATH_MAX];
    unsigned minor = host_capability_minor(gpu, gi) + bit;
    int length = snprintf(directory, sizeof directory, "driver/nvidia/capabilities/gpu%u/mig/gi%u", gpu, gi);
    if (bit)
        snprintf(directory + length, sizeof directory - (size_t)length, "/ci%u", bit - 1);
    snprintf(name, sizeof name, "%s/access", directory);
    if (there) {
        for (char *slash = strstr(directory, "/gpu") + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            make_directory(path, directory);
        }
        if (make_directory(path, directory))
            make_file(path, name, 0444, geteuid(), write_instance, &minor);
    } else if (place(place_of, path, name) && !unlink(place_of)) {
        *strrchr(place_of, '/') = 0;
        rmdir(place_of);
    }
}

void host_show_instances(const char *path, const struct host *before, const struct host *after)
{
    for (unsigned g = 0; g < after->gpu_count; g++) {
        uint16_t old[NUMBERED_GPU_INSTANCES], new[NUMBERED_GPU_INSTANCES];
        unsigned old_minor = before->gpus[g].minor, new_minor = after->gpus[g].minor;
        find_instances(&before->gpus[g], old);
        find_instances(&after->gpus[g], new);
        for (unsigned gi = 0; gi < NUMBERED_GPU_INSTANCES; gi++)
            for (unsigned bit = NUMBERED_COMPUTE_INSTANCES + 1; bit-- > 0;) {
                bool was = old[gi] >> bit & 1, is = new[gi] >> bit & 1;
                if (was && (!is || old_minor != new_minor))
                    show_capability(path, old_minor, gi, bit, false);
                if (is && (!was || old_minor != new_minor))
                    show_capability(path, new_minor, gi, bit, true);
            }
    }
}

/* Those of a host that was at this path before. */
static void forget_instances(const char *path)
{
    for (unsigned gpu = 0; gpu < NUMBERED_GPUS; gpu++) {
        char name[64], directory[PATH_MAX];
        snprintf(name, sizeof name, "driver/nvidia/capabilities/gpu%u", gpu);
        if (!place(directory, path, name) || access(directory, F_OK))
            continue;
        for (unsigned gi = 0; gi < NUMBERED_GPU_INSTANCES; gi++)
            for (unsigned bit = NUMBERED_COMPUTE_INSTANCES + 1; bit-- > 0;)
                show_capability(path, gpu, gi, bit, false);
    }
}

bool host_make_proc(const char *path, const struct host *host)
{
    forget_instances(path);
    static const char *const directories[] = {"", "driver", "driver/nvidia", "driver/nvidia/capabilities",
                                              "driver/nvidia/capabilities/mig", "driver/nvidia-caps"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        if (!make_directory(path, directories[i]))
            return false;
    return make_file(path, "driver/nvidia/capabilities/mig/config", 0400, host->admin_uid, write_config, NULL) &&
           make_file(path, "driver/nvidia/version", 0444, geteuid(), write_version, host) &&
           make_file(path, "driver/nvidia/capabilities/mig/monitor", 0444, geteuid(), write_monitor, NULL) &&
           make_file(path, "driver/nvidia-caps/nvlink-minors", 0444, geteuid(), write_nvlink_minors, NULL) &&
           make_file(path, "driver/nvidia-caps/sys-minors", 0444, geteuid(), write_system_minors, NULL) &&
           make_file(path, "driver/nvidia-caps/mig-minors", 0444, geteuid(), write_minors, NULL);
}

bool host_capability(const char *path)
{
    char file[PATH_MAX];
    struct stat status;
    if (!place(file, path, "driver/nvidia/capabilities/mig/config") || stat(file, &status))
        return false;
    if (geteuid() == status.st_uid)
        return status.st_mode & S_IRUSR;
    gid_t groups[256];
    int count = getgroups(sizeof groups / sizeof *groups, groups);
    bool member = getegid() == status.st_gid;
    for (int i = 0; i < count; i++)
        member = member || groups[i] == status.st_gid;
    return status.st_mode & (member ? S_IRGRP : S_IROTH);
}
