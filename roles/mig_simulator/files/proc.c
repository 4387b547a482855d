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

bool host_make_proc(const char *path, const struct host *host)
{
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
