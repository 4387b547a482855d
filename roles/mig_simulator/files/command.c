/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "command.h"

#include "host.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *help;
} verbs[] = {
    {"init", verb_init, "[OPTION]... MODEL[:COUNT]...",
     "Make a simulated host with these GPUs, in place of the one that was there.\n"
     "  --mig                    with MIG mode on\n"
     "  --nvswitch               with NVSwitches between all GPUs that have NVLinks, Fabric Manager not running\n"
     "  --driver VERSION         the driver, 450 or later (default 580.95.05)\n"
     "  --admin-uid UID          the user who counts as root to this host (default: the caller)\n"
     "  --strange NAME[=VALUE],...\n"
     "                           what varies from card to card or driver to driver, or is not known, another way;\n"
     "                           `init --strange help` lists it\n"
     "  --strange random:SEED    some of it, by a number\n"},
    {"show", verb_show, "[--json]", "Show GPUs, slices, instances, clients and faults.\n"},
    {"run", verb_run, "--device MIG-UUID|GPU-UUID|INDEX [--type compute|graphics|mps] -- COMMAND...",
     "Run a command as a client of a GPU or a MIG device: that is busy for as long as the command lives.\n"},
    {"hold", verb_hold, "--gpu GPU-UUID|INDEX [--gpu-instance ID] -- COMMAND...",
     "Run a command that holds a GPU without being on its process lists.\n"
     "  --gpu-instance ID        it subscribes to this GPU instance, as a monitor does: it cannot be destroyed\n"},
    {"fault", verb_fault, "FUNCTION|any ... | --list | --clear [FUNCTION]",
     "Let calls of an NVML function fail; `any` counts the calls of all functions together.\n"
     "  --nth N                  from its Nth call from now on (default 1)\n"
     "  --times M                for M calls in a row (default 1; 0: for all that follow)\n"
     "and one of\n"
     "  --return CODE            it returns this code, by name or number, without effect\n"
     "  --kill before|after      its caller is killed, before or after the effect\n"
     "  --delay MILLISECONDS     it is slow\n"
     "  --lie                    it returns SUCCESS without effect\n"
     "  --list                   show the faults that are set\n"
     "  --clear                  take all faults away, or those of a function\n"},
    {"calls", verb_calls, "[--json] [--reset]",
     "Show how often each NVML function was called, and by how many sessions.\n"
     "  --reset                  begin again at 0, after showing\n"},
    {"reboot", verb_reboot, "", "Reboot the simulated host.\n"},
    {"reload-driver", verb_reload_driver, "", "Unload the driver and load it again.\n"},
    {"passthrough", verb_passthrough, "on|off",
     "Whether the host is a virtual machine whose GPUs are passed through.\n"},
    {"fabric-manager", verb_fabric_manager, "on|off",
     "Whether Fabric Manager runs; without it the GPUs of Ampere on NVSwitches are only reset together.\n"},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static const char *verb_name(unsigned i)
{
    return verbs[i].name;
}

static void complain(const char *format, va_list arguments)
{
    fputs("mig-simulator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int failure(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return 1;
}

int wrong_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return 2;
}

int wrong_option(int parsed, char **argv)
{
    if (parsed == ':')
        return wrong_usage("%s needs a value; see mig-simulator %s --help", argv[optind - 1], argv[0]);
    return wrong_usage("%s is no option of %s; see mig-simulator %s --help", argv[optind - 1], argv[0], argv[0]);
}

bool number_of(const char *text, unsigned long most, unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *number <= most;
}

bool open_host(struct state *state)
{
    char text[PATH_MAX + 200];
    enum state_result result = host_attach(state, state_path());
    if (result == STATE_OK)
        return true;
    state_explain(result, state_path(), text, sizeof text);
    failure("%s", text);
    return false;
}

bool begin_change(struct state *state)
{
    char text[PATH_MAX + 200];
    enum state_result result = state_change_begin(state);
    if (result == STATE_OK)
        return true;
    state_explain(result, state_path(), text, sizeof text);
    failure("%s", text);
    return false;
}

/* Edit distance, with `a` found anywhere in `b` counted as near. */
static unsigned distance(const char *a, const char *b)
{
    enum { LONGEST = 96 };
    unsigned row[LONGEST + 1];
    size_t length = strlen(b);
    if (strcasestr(b, a))
        return 1;
    if (length > LONGEST)
        return LONGEST;
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned best = corner + (*a != b[j - 1]);
            corner = row[j];
            if (corner + 1 < best)
                best = corner + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[length];
}

const char *suggestion(const char *wrong, const char *(*name)(unsigned), unsigned count)
{
    static char text[512];
    unsigned near = (unsigned)strlen(wrong) / 4 + 1;
    unsigned found[3], number = 0;
    for (unsigned limit = 0; limit <= near && number < 3; limit++)
        for (unsigned i = 0; i < count && number < 3; i++)
            if (distance(wrong, name(i)) == limit)
                found[number++] = i;
    int length = 0;
    text[0] = 0;
    for (unsigned i = 0; i < number; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%s%s",
                           i == 0 ? ": did you mean " : i + 1 < number ? ", " : " or ", name(found[i]));
    if (number)
        snprintf(text + length, sizeof text - (size_t)length, "?");
    return text;
}

void json_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_help(FILE *file)
{
    fputs("mig-simulator: simulated NVIDIA GPUs for every program that uses NVML\n\n", file);
    for (unsigned i = 0; i < VERBS; i++)
        fprintf(file, "  mig-simulator %s %s\n", verbs[i].name, verbs[i].arguments);
    fputs("\nmig-simulator VERB --help says more. The host is the one in the file that " STATE_VARIABLE
          " names (default " DEFAULT_STATE ").\n", file);
}

static bool wants_help(char **argv)
{
    for (; *argv && strcmp(*argv, "--"); argv++)
        if (!strcmp(*argv, "--help") || !strcmp(*argv, "-h"))
            return true;
    return false;
}

/* Output that could not be written is a failure. */
static int finish(int status)
{
    if (fflush(stdout) || ferror(stdout))
        return failure("the output could not be written");
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help(stdout);
        return finish(0);
    }
    for (unsigned i = 0; i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name))
            continue;
        if (wants_help(argv + 2)) {
            printf("Usage: mig-simulator %s %s\n%s", verbs[i].name, verbs[i].arguments, verbs[i].help);
            return finish(0);
        }
        return finish(verbs[i].run(argc - 1, argv + 1));
    }
    return wrong_usage("no verb %s%s (mig-simulator --help lists them)", argv[1],
                       suggestion(argv[1], verb_name, VERBS));
}
