/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mig-simulator reboot, reload-driver, passthrough and fabric-manager */
#include "command.h"

#include "host.h"

#include <string.h>

static struct state state;

static int begin(char **argv)
{
    if (argv[1])
        return wrong_usage("%s takes no argument %s", argv[0], argv[1]);
    return open_host(&state) && begin_change(&state) ? 0 : 1;
}

int verb_reboot(int argc, char **argv)
{
    (void)argc;
    int status = begin(argv);
    if (status)
        return status;
    host_reboot(&state.draft.host);
    host_commit(&state);
    return 0;
}

int verb_reload_driver(int argc, char **argv)
{
    (void)argc;
    int status = begin(argv);
    if (status)
        return status;
    if (!host_reload_driver(&state.draft.host)) {
        state_change_cancel(&state);
        return failure("the driver is in use: a GPU has clients; see mig-simulator show");
    }
    host_commit(&state);
    return 0;
}

/* One word, on or off; below 0: something else was said, and what is wrong printed. */
static int on_or_off(int argc, char **argv)
{
    bool on = argc == 2 && !strcmp(argv[1], "on");
    if (argc == 2 && (on || !strcmp(argv[1], "off")))
        return on;
    wrong_usage("%s needs one word: on or off", argv[0]);
    return -1;
}

int verb_passthrough(int argc, char **argv)
{
    int on = on_or_off(argc, argv);
    if (on < 0)
        return 2;
    if (!open_host(&state) || !begin_change(&state))
        return 1;
    state.draft.host.passthrough = (uint8_t)on;
    host_commit(&state);
    return 0;
}

int verb_fabric_manager(int argc, char **argv)
{
    int on = on_or_off(argc, argv);
    if (on < 0)
        return 2;
    if (!open_host(&state) || !begin_change(&state))
        return 1;
    if (!state.draft.host.nvswitch) {
        state_change_cancel(&state);
        return failure("the host has no NVSwitches for Fabric Manager to manage; make it with init --nvswitch");
    }
    state.draft.host.fabric_manager = (uint8_t)on;
    host_commit(&state);
    return 0;
}
