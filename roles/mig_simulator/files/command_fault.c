/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator fault and calls */
#include "command.h"

#include "functions.h"
#include "nvml_constants.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { NTH = 1, TIMES, RETURN, KILL, DELAY, LIE, LIST, CLEAR, JSON, RESET };

#define CODE(name) {NVML_##name, "NVML_" #name}
#define ERROR(name) CODE(ERROR_##name)
static const struct {
    unsigned code;
    const char *name;
} codes[] = {
    CODE(SUCCESS), ERROR(UNINITIALIZED), ERROR(INVALID_ARGUMENT), ERROR(NOT_SUPPORTED), ERROR(NO_PERMISSION),
    ERROR(ALREADY_INITIALIZED), ERROR(NOT_FOUND), ERROR(INSUFFICIENT_SIZE), ERROR(INSUFFICIENT_POWER),
    ERROR(DRIVER_NOT_LOADED), ERROR(TIMEOUT), ERROR(IRQ_ISSUE), ERROR(LIBRARY_NOT_FOUND), ERROR(FUNCTION_NOT_FOUND),
    ERROR(CORRUPTED_INFOROM), ERROR(GPU_IS_LOST), ERROR(RESET_REQUIRED), ERROR(OPERATING_SYSTEM),
    ERROR(LIB_RM_VERSION_MISMATCH), ERROR(IN_USE), ERROR(MEMORY), ERROR(NO_DATA), ERROR(VGPU_ECC_NOT_SUPPORTED),
    ERROR(INSUFFICIENT_RESOURCES), ERROR(FREQ_NOT_SUPPORTED), ERROR(ARGUMENT_VERSION_MISMATCH), ERROR(DEPRECATED),
    ERROR(NOT_READY), ERROR(GPU_NOT_FOUND), ERROR(INVALID_STATE), ERROR(RESET_TYPE_NOT_SUPPORTED), ERROR(UNKNOWN),
};

enum { CODES = sizeof codes / sizeof *codes };

/* IN_USE for NVML_ERROR_IN_USE */
static const char *code_name(unsigned i)
{
    const char *name = codes[i].name;
    return name + (strncmp(name, "NVML_ERROR_", 11) ? 5 : 11);
}

static const char *function_name(unsigned i)
{
    return functions[i].name;
}

static const char *name_of(const struct fault *fault)
{
    return fault->function < FUNCTION_COUNT ? functions[fault->function].name : "any";
}

static const char *return_name(unsigned code)
{
    for (unsigned i = 0; i < CODES; i++)
        if (codes[i].code == code)
            return codes[i].name;
    return NULL;
}

/* What the fault does, in the words of the command line. */
static void action_text(const struct fault *fault, char *text, size_t length)
{
    const char *name = return_name(fault->value);
    switch (fault->action) {
    case FAULT_RETURN:
        if (name)
            snprintf(text, length, "--return %s", name);
        else
            snprintf(text, length, "--return %u", fault->value);
        break;
    case FAULT_DELAY:
        snprintf(text, length, "--delay %u", fault->value);
        break;
    case FAULT_LIE:
        snprintf(text, length, "--lie");
        break;
    default:
        snprintf(text, length, "--kill %s", fault->action == FAULT_KILL_BEFORE ? "before" : "after");
    }
}

void print_fault(const struct fault *fault)
{
    char text[64];
    action_text(fault, text, sizeof text);
    printf("Fault  %s --nth %u --times %u %s\n", name_of(fault), fault->first, fault->times, text);
}

void json_fault(const struct fault *fault)
{
    static const char *const actions[] = {[FAULT_RETURN] = "return", [FAULT_KILL_BEFORE] = "kill before",
                                          [FAULT_KILL_AFTER] = "kill after", [FAULT_DELAY] = "delay",
                                          [FAULT_LIE] = "lie"};
    printf("{\"function\": \"%s\", \"action\": \"%s\", \"value\": %u, \"nth\": %u, \"times\": %u}", name_of(fault),
           actions[fault->action], fault->value, fault->first, fault->times);
}

static int find_function(const char *name, struct fault *fault)
{
    if (!strcmp(name, "any")) {
        fault->function = ANY_FUNCTION;
        return 0;
    }
    for (unsigned i = 0; i < FUNCTION_COUNT; i++)
        if (!strcmp(name, functions[i].name)) {
            fault->function = (uint16_t)i;
            return 0;
        }
    return wrong_usage("no NVML function %s%s", name, suggestion(name, function_name, FUNCTION_COUNT));
}

/* By name, with or without NVML_ERROR_ before it, or by number. */
static int find_code(const char *name, struct fault *fault)
{
    unsigned long number;
    if (number_of(name, 9999, &number)) {
        fault->value = (uint32_t)number;
        return 0;
    }
    for (unsigned i = 0; i < CODES; i++)
        if (!strcmp(name, codes[i].name) || !strcmp(name, code_name(i))) {
            fault->value = codes[i].code;
            return 0;
        }
    return wrong_usage("no NVML return code %s%s", name, suggestion(name, code_name, CODES));
}

static int read_number(const char *option, const char *text, unsigned long least, uint32_t *number)
{
    unsigned long value;
    if (!number_of(text, UINT32_MAX, &value) || value < least)
        return wrong_usage("%s %s: expected a number of at least %lu", option, text, least);
    *number = (uint32_t)value;
    return 0;
}

static int change(const struct fault *fault, bool clear, bool of_all)
{
    static struct state state;
    if (!open_host(&state) || !begin_change(&state))
        return 1;
    struct fault *faults = state.draft.host.faults;
    struct fault *place = NULL;
    for (unsigned i = 0; i < MAX_FAULTS; i++) {
        if (clear && (of_all || faults[i].function == fault->function))
            faults[i] = (struct fault){0};
        if (!place && faults[i].action == FAULT_NONE)
            place = &faults[i];
    }
    if (!clear && !place) {
        state_change_cancel(&state);
        return failure("a simulated host has at most %d faults; see mig-simulator fault --clear", MAX_FAULTS);
    }
    if (!clear) {
        *place = *fault;
        atomic_store(&state.counters->fault_calls[place - faults], 0);
    }
    state_change_commit(&state);
    return 0;
}

static int list(void)
{
    static struct state state;
    if (!open_host(&state))
        return 1;
    for (unsigned i = 0; i < MAX_FAULTS; i++)
        if (state.current.host.faults[i].action != FAULT_NONE)
            print_fault(&state.current.host.faults[i]);
    return 0;
}

int verb_fault(int argc, char **argv)
{
    static const struct option options[] = {
        {"nth", required_argument, NULL, NTH},       {"times", required_argument, NULL, TIMES},
        {"return", required_argument, NULL, RETURN}, {"kill", required_argument, NULL, KILL},
        {"delay", required_argument, NULL, DELAY},   {"lie", no_argument, NULL, LIE},
        {"list", no_argument, NULL, LIST},           {"clear", no_argument, NULL, CLEAR},
        {0}};
    struct fault fault = {.first = 1, .times = 1};
    bool clear = false, show = false;
    unsigned actions = 0;
    int parsed, status = 0;
    while (!status && (parsed = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (parsed == NTH) {
            status = read_number("--nth", optarg, 1, &fault.first);
        } else if (parsed == TIMES) {
            status = read_number("--times", optarg, 0, &fault.times);
        } else if (parsed == RETURN) {
            fault.action = FAULT_RETURN;
            actions++;
            status = find_code(optarg, &fault);
        } else if (parsed == KILL) {
            bool before = !strcmp(optarg, "before");
            fault.action = before ? FAULT_KILL_BEFORE : FAULT_KILL_AFTER;
            actions++;
            if (!before && strcmp(optarg, "after"))
                status = wrong_usage("--kill %s: expected before or after", optarg);
        } else if (parsed == DELAY) {
            fault.action = FAULT_DELAY;
            actions++;
            status = read_number("--delay", optarg, 0, &fault.value);
        } else if (parsed == LIE) {
            fault.action = FAULT_LIE;
            actions++;
        } else if (parsed == LIST) {
            show = true;
        } else if (parsed == CLEAR) {
            clear = true;
        } else {
            status = wrong_option(parsed, argv);
        }
    }
    const char *name = argv[optind];
    if (status)
        return status;
    if (name && argv[optind + 1])
        return wrong_usage("one function at a time, not %s too", argv[optind + 1]);
    if (show + clear + (actions > 0) != 1 || actions > 1 || (show && name) || (actions && !name))
        return wrong_usage("fault needs a function and one of --return, --kill, --delay and --lie, or --list, or "
                           "--clear; see mig-simulator fault --help");
    if (show)
        return list();
    if (name && (status = find_function(name, &fault)))
        return status;
    return change(&fault, clear, !name);
}

struct row {
    const char *name;
    unsigned long long count;
};

static int by_count(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->count == y->count ? strcmp(x->name, y->name) : x->count < y->count ? 1 : -1;
}

int verb_calls(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, JSON},
                                            {"reset", no_argument, NULL, RESET},
                                            {0}};
    static struct state state;
    static struct row rows[FUNCTION_COUNT];
    bool json = false, reset = false;
    unsigned number = 0;
    unsigned long long total = 0;
    int parsed;
    while ((parsed = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (parsed != JSON && parsed != RESET)
            return wrong_option(parsed, argv);
        json = json || parsed == JSON;
        reset = reset || parsed == RESET;
    }
    if (argv[optind])
        return wrong_usage("calls takes no argument %s", argv[optind]);
    if (!open_host(&state))
        return 1;
    if (reset && !state.writable)
        return failure("%s may not be written by this user", state.path);
    for (unsigned i = 0; i < FUNCTION_COUNT; i++) {
        _Atomic uint64_t *counter = &state.counters->calls[i];
        rows[number] = (struct row){functions[i].name, reset ? atomic_exchange(counter, 0) : atomic_load(counter)};
        total += rows[number].count;
        number += rows[number].count > 0;
    }
    unsigned long long sessions =
        reset ? atomic_exchange(&state.counters->sessions, 0) : atomic_load(&state.counters->sessions);
    qsort(rows, number, sizeof *rows, by_count);
    if (json) {
        printf("{\"sessions\": %llu, \"total\": %llu, \"calls\": {", sessions, total);
        for (unsigned i = 0; i < number; i++)
            printf("%s\"%s\": %llu", i ? ", " : "", rows[i].name, rows[i].count);
        printf("}}\n");
        return 0;
    }
    for (unsigned i = 0; i < number; i++)
        printf("%8llu  %s\n", rows[i].count, rows[i].name);
    printf("%8llu  calls in %llu sessions\n", total, sessions);
    return 0;
}
