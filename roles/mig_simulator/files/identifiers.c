/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "identifiers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

uint64_t mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

void make_uuid(uint8_t uuid[16], unsigned version, const uint64_t *numbers, unsigned count)
{
    uint64_t half[2] = {1, 2};
    for (unsigned i = 0; i < count; i++) {
        half[0] = mix(half[0] ^ numbers[i]);
        half[1] = mix(half[1] + numbers[i]);
    }
    memcpy(uuid, half, sizeof half);
    uuid[6] = (uint8_t)(version << 4 | (uuid[6] & 0x0f)); /* RFC 9562: version and variant */
    uuid[8] = 0x80 | (uuid[8] & 0x3f);
}

enum { UUID_LENGTH = 36 };

static bool dash_at(unsigned position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

/* The prefix and the UUID; returns the end. Written out by hand: a listing does it for every device. */
static char *uuid_text(char *text, const char *prefix, const uint8_t uuid[16])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(prefix);
    memcpy(text, prefix, length);
    text += length;
    for (unsigned i = 0, half = 0; i < UUID_LENGTH; i++) {
        if (dash_at(i)) {
            *text++ = '-';
        } else {
            *text++ = digits[uuid[half / 2] >> (half % 2 ? 0 : 4) & 0xf];
            half++;
        }
    }
    *text = 0;
    return text;
}

static bool read_uuid(const char *text, uint8_t uuid[16], const char **end)
{
    memset(uuid, 0, 16);
    for (unsigned i = 0, half = 0; i < UUID_LENGTH; i++, text++) {
        if (dash_at(i) ? *text != '-' : !isxdigit((unsigned char)*text))
            return false;
        if (dash_at(i))
            continue;
        unsigned digit = *text <= '9' ? (unsigned)*text - '0' : ((unsigned)*text | 0x20) - 'a' + 10;
        uuid[half / 2] |= (uint8_t)(digit << (half % 2 ? 0 : 4));
        half++;
    }
    *end = text;
    return true;
}

void gpu_uuid_text(char text[UUID_TEXT], const struct gpu *gpu)
{
    uuid_text(text, "GPU-", gpu->uuid);
}

void mig_uuid_text(char text[UUID_TEXT], const struct host *host, const struct gpu *gpu,
                   const struct gpu_instance *gpu_instance, const struct compute_instance *compute_instance)
{
    if (host->driver_branch < 470) {
        char *end = uuid_text(text, "MIG-GPU-", gpu->uuid);
        snprintf(end, (size_t)(text + UUID_TEXT - end), "/%u/%u", gpu_instance->id, compute_instance->id);
    } else {
        uuid_text(text, "MIG-", compute_instance->uuid);
    }
}

static bool find_compute_instance_by_uuid(const struct gpu *gpu, const uint8_t uuid[16],
                                          const struct compute_instance **found)
{
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        for (unsigned c = 0; gpu->gpu_instances[i].used && c < MAX_COMPUTE_INSTANCES; c++) {
            *found = &gpu->gpu_instances[i].compute_instances[c];
            if ((*found)->used && !memcmp((*found)->uuid, uuid, 16))
                return true;
        }
    return false;
}

static bool find_compute_instance_by_ids(const struct gpu *gpu, const char *ids, const struct compute_instance **found)
{
    unsigned gi, ci;
    char more;
    if (sscanf(ids, "/%2u/%2u%c", &gi, &ci, &more) != 2)
        return false;
    for (unsigned i = 0; i < MAX_GPU_INSTANCES; i++)
        for (unsigned c = 0; gpu->gpu_instances[i].used && c < MAX_COMPUTE_INSTANCES; c++) {
            *found = &gpu->gpu_instances[i].compute_instances[c];
            if ((*found)->used && (*found)->id == ci && gpu->gpu_instances[i].id == gi)
                return true;
        }
    return false;
}

bool find_uuid(const struct host *host, const char *text, unsigned *gpu, const struct compute_instance **found)
{
    uint8_t uuid[16];
    const char *rest;
    bool old = host->driver_branch < 470 && !strncmp(text, "MIG-GPU-", 8);
    bool whole = !strncmp(text, "GPU-", 4);
    if (!old && !whole && (host->driver_branch < 470 || strncmp(text, "MIG-", 4)))
        return false;
    if (!read_uuid(text + (old ? 8 : 4), uuid, &rest) || (!old && *rest))
        return false;
    *found = NULL;
    for (*gpu = 0; *gpu < host->gpu_count; ++*gpu) {
        bool here = !memcmp(host->gpus[*gpu].uuid, uuid, 16);
        if (whole && here)
            return true;
        if (old && here)
            return find_compute_instance_by_ids(&host->gpus[*gpu], rest, found);
        if (!old && !whole && find_compute_instance_by_uuid(&host->gpus[*gpu], uuid, found))
            return true;
    }
    return false;
}

void pci_address_text(char text[PCI_ADDRESS_TEXT], const struct gpu *gpu)
{
    snprintf(text, PCI_ADDRESS_TEXT, "%08X:%02X:00.0", 0u, gpu->pci_bus);
}
