/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalogue.h"

#include <stddef.h>
#include <string.h>

/* CUDA versions: CUDA release notes, "CUDA Toolkit and Corresponding Driver Versions". Profile counts: nvml.h of the
 * CUDA toolkit of that branch. */
static const struct driver_branch branches[] = {
    {450, 11000, 0x05, 0x5}, {455, 11010, 0x05, 0x5}, {460, 11020, 0x07, 0x7}, {465, 11030, 0x07, 0x7},
    {470, 11040, 0x08, 0x7}, {495, 11050, 0x08, 0x7}, {510, 11060, 0x08, 0x7}, {515, 11070, 0x09, 0x7},
    {520, 11080, 0x09, 0x7}, {525, 12000, 0x0a, 0x8}, {530, 12010, 0x0a, 0x8}, {535, 12020, 0x0a, 0x8},
    {545, 12030, 0x0a, 0x8}, {550, 12040, 0x0a, 0x8}, {555, 12050, 0x0a, 0x8}, {560, 12060, 0x0a, 0x8},
    {565, 12070, 0x0a, 0x8}, {570, 12080, 0x0d, 0x8}, {575, 12090, 0x11, 0x8}, {580, 13000, 0x12, 0x8},
    {590, 13010, 0x12, 0x9}, {595, 13020, 0x12, 0x9},
};

const struct driver_branch *driver_branch(unsigned branch)
{
    const struct driver_branch *found = NULL;
    for (size_t i = 0; i < sizeof branches / sizeof *branches && branches[i].branch <= branch; i++)
        found = &branches[i];
    return found;
}

const struct model *model_by_name(const char *name)
{
    for (unsigned i = 0; i < model_count; i++)
        if (!strcmp(models[i].name, name))
            return &models[i];
    return NULL;
}
