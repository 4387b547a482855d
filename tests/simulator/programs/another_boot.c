/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * another_boot STATE: as if the state had last been used before the machine booted. */
#include "check.h"
#include "state.h"

int main(int argc, char **argv)
{
    static struct state state;
    HOLDS(argc == 2 && state_open(&state, argv[1]) == STATE_OK && state_change_begin(&state) == STATE_OK);
    state.draft.host.boot_id[0] ^= 1;
    state_change_commit(&state);
    return 0;
}
