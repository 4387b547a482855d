/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator init */
#include "command.h"

#include "host.h"
#include "identifiers.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIG = 1, NVSWITCH, DRIVER, ADMIN_UID, STRANGE };

static const char *model_name(unsigned i)
{
    return models[i].name;
}

/* Versions are numbers between points. Below 0: a is older. */
static long compare_versions(const char *a, const char *b)
{
    for (;;) {
        char *a_end, *b_end;
        long difference = strtol(a, &a_end, 10) - strtol(b, &b_end, 10);
        if (difference || (!*a_end && !*b_end))
            return difference;
        a = *a_end ? a_end + 1 : a_end;
        b = *b_end ? b_end + 1 : b_end;
    }
}

static int set_driver(struct host *host, const char *version)
{
    unsigned long branch;
    char first[8] = "";
    size_t length = strcspn(version, ".");
    if (length < sizeof first)
        memcpy(first, version, length);
    if (!number_of(first, 9999, &branch) || strspn(version, "0123456789.") != strlen(version) ||
        strlen(version) >= sizeof host->driver_version)
        return wrong_usage("--driver %s: expected a version such as 580.95.05", version);
    if (!driver_branch((unsigned)branch))
        return wrong_usage("--driver %s: MIG began with driver 450", version);
    host->driver_branch = (uint32_t)branch;
    snprintf(host->driver_version, sizeof host->driver_version, "%s", version);
    return 0;
}

static int add_gpus(struct host *host, const char *argument, bool mig, uint64_t seed)
{
    char name[64];
    unsigned long count = 1;
    const char *colon = strchr(argument, ':');
    snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - argument : (long)strlen(argument)), argument);
    const struct model *model = model_by_name(name);
    if (!model) {
        wrong_usage("no GPU model %s%s", name, suggestion(name, model_name, model_count));
        fputs("Models:", stderr);
        for (unsigned i = 0; i < model_count; i++)
            fprintf(stderr, " %s", models[i].name);
        fputc('\n', stderr);
        return 2;
    }
    if (colon && (!number_of(colon + 1, MAX_GPUS, &count) || !count))
        return wrong_usage("%s: expected MODEL:COUNT with a count from 1 to %d", argument, MAX_GPUS);
    if (compare_versions(host->driver_version, model->minimum_driver) < 0)
        return wrong_usage("%s needs driver %s or later, not %s", name, model->minimum_driver, host->driver_version);
    if (!host_add_gpus(host, model, (unsigned)count, mig, seed))
        return wrong_usage("a simulated host has at most %d GPUs", MAX_GPUS);
    return 0;
}

/* A number that is this host's own, by its name and the path: the same path gives the same GPUs again. */
static uint64_t seed_of(const char *path)
{
    char name[256] = "";
    uint64_t seed = 0;
    gethostname(name, sizeof name - 1);
    for (const char *c = name; *c; c++)
        seed = mix(seed ^ (unsigned char)*c);
    for (const char *c = path; *c; c++)
        seed = mix(seed ^ (unsigned char)*c);
    return seed;
}

/* Make the folder of the path and turn the path into an absolute one. */
static bool prepare(const char *path, char absolute[PATH_MAX])
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s%s", *path == '/' ? "" : "./", path) >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *slash = folder + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(folder, 0755) && errno != EEXIST)
            return false;
    }
    const char *name = strrchr(folder, '/') + 1;
    snprintf(absolute, PATH_MAX, "%s", name);
    folder[name - folder] = 0;
    if (!realpath(folder, real))
        return false;
    char *last = strdup(absolute);
    bool good = last && snprintf(absolute, PATH_MAX, "%s/%s", strcmp(real, "/") ? real : "", last) < PATH_MAX;
    free(last);
    return good;
}

static bool has_nvlinks(const struct host *host)
{
    for (unsigned i = 0; i < host->gpu_count; i++)
        if (models[host->gpus[i].model].board.nvlinks)
            return true;
    return false;
}

static int make(struct host *host, char **models_asked, bool mig, const uint8_t strange[STRANGE_ROOM])
{
    char path[PATH_MAX];
    struct stat status;
    if (!*models_asked)
        return wrong_usage("init needs a GPU model; see mig-simulator init --help");
    if (!prepare(state_path(), path))
        return failure("%s: %s", state_path(), strerror(errno));
    uint64_t seed = seed_of(path);
    for (; *models_asked; models_asked++) {
        int status = add_gpus(host, *models_asked, mig, seed);
        if (status)
            return status;
    }
    for (unsigned i = 0; i < host->gpu_count; i++)
        memcpy(host->gpus[i].strange, strange, sizeof host->gpus[i].strange);
    if (host->nvswitch && !has_nvlinks(host))
        return wrong_usage("--nvswitch: none of these models has NVLinks");
    if (!lstat(path, &status) && !S_ISREG(status.st_mode))
        return failure("%s is there and not a file; name another path in " STATE_VARIABLE, path);
    if (!host_make_proc(path, host))
        return failure("%s.proc: %s", path, strerror(errno));
    if (state_create(path, host) != STATE_OK)
        return failure("%s: %s", path, strerror(errno));
    return 0;
}

static void list_strange(void)
{
    for (unsigned i = 0; i < STRANGE_COUNT; i++) {
        const struct strange_switch *s = &strange_switches[i];
        char text[160] = "", *end = text;
        for (unsigned w = 0; w < sizeof s->words / sizeof *s->words && s->words[w]; w++)
            end += snprintf(end, sizeof text - (size_t)(end - text), "%s%s%s", w ? "|" : "", s->words[w],
                            w == s->standard ? "*" : "");
        printf("%s=%s\n    %s\n", s->name, text, s->help);
    }
    puts("(* what a host has that asks for nothing; NAME alone is the first other value)");
}

int verb_init(int argc, char **argv)
{
    static const struct option options[] = {{"mig", no_argument, NULL, MIG},
                                            {"nvswitch", no_argument, NULL, NVSWITCH},
                                            {"driver", required_argument, NULL, DRIVER},
                                            {"admin-uid", required_argument, NULL, ADMIN_UID},
                                            {"strange", required_argument, NULL, STRANGE},
                                            {0}};
    static struct host host;
    uint8_t strange[STRANGE_ROOM];
    const char *wrong;
    bool mig = false;
    unsigned long uid;
    int parsed, status = 0;
    host.admin_uid = geteuid();
    host.next_serial = 1;
    strange_reset(strange);
    host_read_boot_id(host.boot_id);
    set_driver(&host, "580.95.05");
    while (!status && (parsed = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (parsed) {
        case MIG:
            mig = true;
            break;
        case NVSWITCH:
            host.nvswitch = 1;
            break;
        case DRIVER:
            status = set_driver(&host, optarg);
            break;
        case ADMIN_UID:
            if (!number_of(optarg, UINT32_MAX - 1ul, &uid))
                status = wrong_usage("--admin-uid %s: expected a user id, a number", optarg);
            host.admin_uid = (uint32_t)uid;
            break;
        case STRANGE:
            if (!strcmp(optarg, "help")) {
                list_strange();
                return 0;
            }
            wrong = strange_set(strange, optarg);
            if (wrong)
                status = wrong_usage("--strange %s: %s", optarg, wrong);
            break;
        default:
            status = wrong_option(parsed, argv);
        }
    }
    return status ? status : make(&host, argv + optind, mig, strange);
}
