/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Identifiers that follow from numbers, the same every time, and their text. */
#ifndef IDENTIFIERS_H
#define IDENTIFIERS_H

#include "state.h"

/* A number that has nothing visible in common with its neighbours' (splitmix64). */
uint64_t mix(uint64_t number);

/* A UUID of this version out of `count` numbers. */
void make_uuid(uint8_t uuid[16], unsigned version, const uint64_t *numbers, unsigned count);

enum { UUID_TEXT = 96, PCI_ADDRESS_TEXT = 32 };

/* GPU-…; MIG-… as the host's driver writes it: before R470 MIG-GPU-<UUID of the GPU>/<GI id>/<CI id>. */
void gpu_uuid_text(char text[UUID_TEXT], const struct gpu *gpu);
void mig_uuid_text(char text[UUID_TEXT], const struct host *host, const struct gpu *gpu,
                   const struct gpu_instance *gpu_instance, const struct compute_instance *compute_instance);

/* The GPU of such a text, and the compute instance of a MIG device's (NULL for a GPU's). False: there is none. */
bool find_uuid(const struct host *host, const char *text, unsigned *gpu, const struct compute_instance **found);

/* 00000000:07:00.0 */
void pci_address_text(char text[PCI_ADDRESS_TEXT], const struct gpu *gpu);

#endif
