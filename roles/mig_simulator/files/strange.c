/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "strange.h"

#include "identifiers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct strange_switch strange_switches[STRANGE_COUNT] = {
    [GI_IDS] = {"gi-ids", {"scattered", "model", "plain", "swapped"}, GI_IDS_MODEL,
                "GPU instance ids: any free one of the size, or as the placement has them in one of two tables"},
    [UUIDS] = {"uuids", {"new", "profile", "engine"}, UUIDS_ENGINE,
              "UUID of a MIG device: another each time, of profile and place, or of GPU, GPU instance id and engine"},
    [MIG_INDEXES] = {"mig-indexes", {"lowest", "sorted"}, 1,
              "MIG device indexes: the lowest free one, or all counted anew by GPU instance and compute instance id"},
    [COMPUTE_PLACES] = {"compute-places", {"simple", "model"}, 1,
              "compute placements: 2c in steps of two slices, or as the model has them (Hopper: in eighths)"},
    [ONE_SLICE_STARTS] = {"one-slice-starts", {"slices", "eighths"}, 0,
              "starts of 1c where compute placements are in eighths: as many as slices, or all eighths"},
    [DOUBLE_SLICE] = {"double-slice", {"alone", "everywhere"}, 0,
              "compute profile 7, one slice of two eighths: only where it is all, or beside profile 0 as well"},
    [COMPUTE_NAMES] = {"compute-names", {"full", "no-me", "bare"}, COMPUTE_NAMES_NO_ME,
                       "compute profile names: with the GPU instance's attribute, without +me, without any"},
    [REFUSALS] = {"refusals", {"resources", "model", "in-use", "invalid"}, REFUSALS_MODEL,
                  "a place that is not free: INSUFFICIENT_RESOURCES, by its reason, or always the same other code"},
    [ACTIVATION] = {"activation", {"reset-required", "not-supported", "refused", "timeout", "timeout-always"},
                    ACTIVATION_RESET,
              "a MIG mode that needs more: RESET_REQUIRED, NOT_SUPPORTED as status or as answer, TIMEOUT at first"},
    [MODE_CLIENTS] = {"mode-clients", {"refused", "ignored"}, 0,
                      "whether who uses a GPU that needs no reset keeps its MIG mode from being set"},
    [MODE_OFF] = {"mode-off", {"works", "stays"}, 0,
              "whether MIG mode turned off answers SUCCESS and stays on until a reset"},
    [FIRST_INSTANCE] = {"first-instance", {"free", "processes", "holders"}, FIRST_INSTANCE_PROCESSES,
              "who keeps an empty GPU in MIG mode from its first GPU instance: nobody, processes, holders too"},
    [MIG_OFF_PROFILES] = {"mig-off-profiles", {"architecture", "refuse", "driver"}, MIG_OFF_DRIVER,
                          "profile questions with MIG off: from Hopper on, never, or from driver 550 on"},
    [RESTART] = {"restart", {"clears", "mode", "layout"}, RESTART_CLEARS,
                 "what a reboot or reload leaves from Hopper on: nothing, the MIG mode, the GPU instances too"},
    [FREE_COUNTS] = {"free-counts", {"exact", "large"}, 0,
              "remaining capacity: what can be made, or only the maximum less what is there"},
    [COMBINATION] = {"combination", {"free", "driver", "halves"}, COMBINATION_DRIVER,
                     "two different profiles of half a GPU: go together, only from driver 510 on, never"},
    [DEVICE_MEMORY] = {"device-memory", {"profile", "more"}, 0,
              "memory of a MIG device: as its profile says, or 128 MiB more"},
    [MINOR] = {"minor", {"kept", "moves", "none"}, MINOR_KEPT,
              "minor number of a GPU: kept, another after each change of mode, not told"},
    [PCI_ADDRESS] = {"pci-address", {"given", "none"}, 0, "whether a GPU has a PCI address"},
    [PROFILE_IDS] = {"profile-ids", {"model", "reversed"}, 0,
              "GPU instance profile ids: the model's, or given out from the other end"},
    [PROFILE_INDEXES] = {"profile-indexes", {"model", "reversed"}, 0,
              "NVML's indexes of these profiles: the same, or in the other order"},
    [TWIN] = {"twin", {"off", "on"}, 0,
              "one more profile with the name and slices of the model's first, on half of its places"},
    [PLACEMENT_UNIT] = {"placement-unit", {"slices", "halves"}, 0,
              "placements count memory slices, or half slices"},
    [PLACEMENT_ORDER] = {"placement-order", {"ascending", "mixed"}, 0, "the order in which placements are listed"},
    [NAMES] = {"names", {"given", "absent", "renamed"}, NAMES_GIVEN,
              "names of profiles: the model's, none, or those of another driver: 1g.9gb for 1g.10gb, ids as before"},
    [ENGINES] = {"engines", {"all", "one-fewer"}, 0,
              "whether the largest profile tells one decoder fewer than there are"},
};

void strange_reset(uint8_t strange[STRANGE_ROOM])
{
    memset(strange, 0, STRANGE_ROOM);
    for (unsigned i = 0; i < STRANGE_COUNT; i++)
        strange[i] = (uint8_t)strange_switches[i].standard;
}

static unsigned word_count(unsigned i)
{
    unsigned count = 0;
    while (count < sizeof strange_switches->words / sizeof *strange_switches->words && strange_switches[i].words[count])
        count++;
    return count;
}

bool strange_broken(const uint8_t strange[STRANGE_ROOM])
{
    for (unsigned i = 0; i < STRANGE_ROOM; i++)
        if (strange[i] >= (i < STRANGE_COUNT ? word_count(i) : 1))
            return true;
    return false;
}

/* One in three is strange. Names tell apart what the indexes then do not: one of the two must be as documented. */
static void set_at_random(uint8_t strange[STRANGE_ROOM], uint64_t seed)
{
    for (unsigned i = 0; i < STRANGE_COUNT; i++) {
        uint64_t number = mix(mix(seed) ^ i);
        if (number % 3 == 0)
            strange[i] = (uint8_t)(number / 3 % word_count(i));
    }
    if (strange[NAMES] == NAMES_ABSENT)
        strange[PROFILE_INDEXES] = 0;
}

static char sentence[512];

static const char *no_switch(const char *name)
{
    int length = snprintf(sentence, sizeof sentence, "no switch %s; there are", name);
    for (unsigned i = 0; i < STRANGE_COUNT && length < (int)sizeof sentence; i++)
        length += snprintf(sentence + length, sizeof sentence - (size_t)length, " %s", strange_switches[i].name);
    return sentence;
}

static const char *no_value(unsigned i, const char *value)
{
    int length = snprintf(sentence, sizeof sentence, "%s=%s: expected", strange_switches[i].name, value);
    for (unsigned w = 0; w < word_count(i) && length < (int)sizeof sentence; w++)
        length += snprintf(sentence + length, sizeof sentence - (size_t)length, "%s %s", w ? " or" : "",
                           strange_switches[i].words[w]);
    return sentence;
}

static const char *set_one(uint8_t strange[STRANGE_ROOM], char *name)
{
    char *value = strchr(name, '=');
    unsigned i = 0, word = 0;
    if (value)
        *value++ = 0;
    while (i < STRANGE_COUNT && strcmp(strange_switches[i].name, name))
        i++;
    if (i == STRANGE_COUNT)
        return no_switch(name);
    if (value) {
        while (word < word_count(i) && strcmp(strange_switches[i].words[word], value))
            word++;
        if (word == word_count(i))
            return no_value(i, value);
    } else { /* the first that is not what it is anyway */
        word = strange_switches[i].standard == 0;
    }
    strange[i] = (uint8_t)word;
    return NULL;
}

const char *strange_set(uint8_t strange[STRANGE_ROOM], const char *text)
{
    char copy[1024], *end;
    const char *wrong = NULL;
    if (!strncmp(text, "random:", 7)) {
        uint64_t seed = strtoull(text + 7, &end, 10);
        if (!strchr("0123456789", text[7]) || !text[7] || *end)
            return "random:SEED takes a number";
        set_at_random(strange, seed);
        return NULL;
    }
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return "that is too long";
    char *rest = copy;
    for (char *name; !wrong && (name = strsep(&rest, ",")) != NULL;)
        wrong = set_one(strange, name);
    return wrong;
}

/* ---- A model as it is told of ------------------------------------------------------------------------------------ */

enum { MOST_MODELS = 64, MOST_PROFILES = 16, NAME_ROOM = 64 };

static void reverse_ids(struct profile *profiles, unsigned count)
{
    for (unsigned i = 0; i < count / 2; i++) {
        unsigned id = profiles[i].id;
        profiles[i].id = profiles[count - 1 - i].id;
        profiles[count - 1 - i].id = id;
    }
}

static void reverse_indexes(struct profile *profiles, unsigned count)
{
    for (unsigned i = 0; i < count / 2; i++) {
        struct profile *one = &profiles[i], *other = &profiles[count - 1 - i];
        unsigned index = one->index, since = one->since;
        one->index = other->index;
        other->index = index;
        /* An index that the driver's header lacks stays unknown to it. */
        one->since = other->since > one->since ? other->since : one->since;
        other->since = since > other->since ? since : other->since;
    }
}

/* Half of the first profile's places, under an id and an index that no profile has. */
static struct profile twin(const struct profile *profiles, unsigned count)
{
    struct profile made = profiles[0];
    made.start_count = (made.start_count + 1) / 2;
    made.max = made.max < made.start_count ? made.max : made.start_count;
    made.id = 0;
    for (unsigned i = 0; i < count; i++)
        made.id = profiles[i].id > made.id ? profiles[i].id : made.id;
    made.id++;
    uint64_t taken = 0;
    for (unsigned i = 0; i < count; i++)
        taken |= (uint64_t)1 << profiles[i].index;
    for (made.index = 0; taken >> made.index & 1; made.index++)
        ;
    return made;
}

/* As GB300's 1g.35gb became a 1g.31gb: nine tenths of the size, and what has no size keeps its name. */
static const char *another_name(const char *name, char *text, size_t length)
{
    unsigned slices, gigabytes;
    int end = 0;
    if (sscanf(name, "%ug.%ugb%n", &slices, &gigabytes, &end) < 2 || !end || !gigabytes)
        return name;
    snprintf(text, length, "%ug.%ugb%s", slices, gigabytes * 9 / 10, name + end);
    return text;
}

static void mix_starts(struct profile *profile)
{
    for (unsigned i = 0; i + 1 < profile->start_count; i += 2) {
        unsigned char start = profile->starts[i];
        profile->starts[i] = profile->starts[i + 1];
        profile->starts[i + 1] = start;
    }
}

static void make_strange(struct model *model, struct profile *profiles, char names[][NAME_ROOM], const uint8_t *strange)
{
    unsigned count = model->profile_count;
    memcpy(profiles, model->profiles, count * sizeof *profiles);
    if (strange[PROFILE_IDS])
        reverse_ids(profiles, count);
    if (strange[PROFILE_INDEXES])
        reverse_indexes(profiles, count);
    if (strange[TWIN])
        profiles[count] = twin(profiles, count), count++;
    for (unsigned i = 0; i < count; i++) {
        struct profile *profile = &profiles[i];
        if (strange[NAMES] == NAMES_RENAMED)
            profile->name = another_name(profile->name, names[i], NAME_ROOM);
        if (strange[ENGINES] && profile->size == model->memory_slices && profile->decoders)
            profile->decoders--;
        for (unsigned s = 0; strange[PLACEMENT_UNIT] && s < profile->start_count; s++)
            profile->starts[s] = (unsigned char)(profile->starts[s] * 2);
        profile->size <<= strange[PLACEMENT_UNIT] ? 1 : 0;
        if (strange[PLACEMENT_ORDER])
            mix_starts(profile);
    }
    model->memory_slices <<= strange[PLACEMENT_UNIT] ? 1 : 0;
    model->profile_count = count;
    model->profiles = profiles;
}

const struct model *strange_model(unsigned position, const uint8_t strange[STRANGE_ROOM])
{
    static struct told {
        bool made;
        uint8_t strange[STRANGE_ROOM];
        struct model model;
        struct profile profiles[MOST_PROFILES + 1];
        char names[MOST_PROFILES + 1][NAME_ROOM];
    } told[MOST_MODELS];
    const struct model *plain = &models[position];
    bool differs = false;
    for (unsigned i = PROFILE_IDS; i < STRANGE_COUNT; i++)
        differs = differs || (i == NAMES ? strange[i] == NAMES_RENAMED : strange[i]);
    if (!differs || !plain->profile_count || position >= MOST_MODELS || plain->profile_count > MOST_PROFILES)
        return plain;
    struct told *one = &told[position];
    if (!one->made || memcmp(one->strange, strange, STRANGE_ROOM) != 0) {
        memcpy(one->strange, strange, STRANGE_ROOM);
        one->model = *plain;
        make_strange(&one->model, one->profiles, one->names, strange);
        one->made = true;
    }
    return &one->model;
}
