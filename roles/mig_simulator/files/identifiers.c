/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "identifiers.h"

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

static int uuid_text(char *text, size_t length, const char *prefix, const uint8_t *u)
{
    return snprintf(text, length, "%s%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", prefix,
                    u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                    u[15]);
}

void gpu_uuid_text(char text[UUID_TEXT], const struct gpu *gpu)
{
    uuid_text(text, UUID_TEXT, "GPU-", gpu->uuid);
}

void mig_uuid_text(char text[UUID_TEXT], const struct host *host, const struct gpu *gpu,
                   const struct gpu_instance *gpu_instance, const struct compute_instance *compute_instance)
{
    if (host->driver_branch < 470) {
        int length = uuid_text(text, UUID_TEXT, "MIG-GPU-", gpu->uuid);
        snprintf(text + length, UUID_TEXT - (size_t)length, "/%u/%u", gpu_instance->id, compute_instance->id);
    } else {
        uuid_text(text, UUID_TEXT, "MIG-", compute_instance->uuid);
    }
}

void pci_address_text(char text[PCI_ADDRESS_TEXT], const struct gpu *gpu)
{
    snprintf(text, PCI_ADDRESS_TEXT, "%08X:%02X:00.0", 0u, gpu->pci_bus);
}
