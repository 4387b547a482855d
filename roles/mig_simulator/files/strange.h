/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Facts of hardware and drivers that vary, or that nobody knows: each is a switch that a simulated host can set
 * (mig-simulator init --strange). What changes only what is told of profiles is done to the model once (model_of);
 * the rest is asked where it matters. */
#ifndef STRANGE_H
#define STRANGE_H

#include "catalogue.h"

#include <stdbool.h>
#include <stdint.h>

/* The switches, and the values of each from 0 on in the order of their words in strange.c. */
enum strange {
    GI_IDS,
    UUIDS,
    MIG_INDEXES,
    COMPUTE_PLACES,
    ONE_SLICE_STARTS,
    DOUBLE_SLICE,
    COMPUTE_NAMES,
    REFUSALS,
    ACTIVATION,
    MODE_CLIENTS,
    MODE_OFF,
    FIRST_INSTANCE,
    MIG_OFF_PROFILES,
    RESTART,
    FREE_COUNTS,
    COMBINATION,
    DEVICE_MEMORY,
    MINOR,
    PCI_ADDRESS,
    PROFILE_IDS,
    PROFILE_INDEXES,
    TWIN,
    PLACEMENT_UNIT,
    PLACEMENT_ORDER,
    NAMES,
    ENGINES,
    STRANGE_COUNT,
    STRANGE_ROOM = 32
};

enum { GI_IDS_SCATTERED, GI_IDS_MODEL, GI_IDS_PLAIN, GI_IDS_SWAPPED };
enum { UUIDS_NEW, UUIDS_PROFILE, UUIDS_ENGINE };
enum { COMPUTE_NAMES_FULL, COMPUTE_NAMES_NO_ME, COMPUTE_NAMES_BARE };
enum { REFUSALS_RESOURCES, REFUSALS_MODEL, REFUSALS_IN_USE, REFUSALS_INVALID };
enum { ACTIVATION_RESET, ACTIVATION_NOT_SUPPORTED, ACTIVATION_REFUSED, ACTIVATION_TIMEOUT, ACTIVATION_TIMEOUT_ALWAYS };
enum { FIRST_INSTANCE_FREE, FIRST_INSTANCE_PROCESSES, FIRST_INSTANCE_HOLDERS };
enum { MIG_OFF_ARCHITECTURE, MIG_OFF_REFUSE, MIG_OFF_DRIVER };
enum { RESTART_CLEARS, RESTART_KEEPS_MODE, RESTART_KEEPS_LAYOUT };
enum { COMBINATION_FREE, COMBINATION_DRIVER, COMBINATION_HALVES };
enum { NAMES_GIVEN, NAMES_ABSENT, NAMES_RENAMED };
enum { MINOR_KEPT, MINOR_MOVES, MINOR_NONE };

struct strange_switch {
    const char *name;
    const char *words[6]; /* NULL ends them */
    unsigned standard;    /* the value of a host that asks for nothing */
    const char *help;
};

extern const struct strange_switch strange_switches[STRANGE_COUNT];

/* Every switch as a host has it that asks for nothing. */
void strange_reset(uint8_t strange[STRANGE_ROOM]);

/* Set what NAME[=VALUE],… or random:SEED says. NULL: done; else one sentence that is good until the next call. */
const char *strange_set(uint8_t strange[STRANGE_ROOM], const char *text);

/* Whether any value is one that does not exist. */
bool strange_broken(const uint8_t strange[STRANGE_ROOM]);

/* The model at this position as these switches tell of it: the profiles of the catalogue at the same positions, and
 * perhaps one more. Good until a call with the same position and other switches. */
const struct model *strange_model(unsigned position, const uint8_t strange[STRANGE_ROOM]);

#endif
