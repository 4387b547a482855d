/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * earlier_process STATE PID: as if an earlier process of this pid had been a client of GPU 0. */
#include "check.h"
#include "clients.h"

int main(int argc, char **argv)
{
    static struct state state;
    HOLDS(argc == 3 && state_open(&state, argv[1]) == STATE_OK && state_change_begin(&state) == STATE_OK);
    struct client client = {.pid = atoi(argv[2]), .type = COMPUTE_CLIENT};
    HOLDS(process_start_time(client.pid, &client.start_time));
    client.start_time--;
    HOLDS(client_add(&state.draft.host, &client));
    state_change_commit(&state);
    return 0;
}
