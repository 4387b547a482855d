# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stops units of systemd, one group after the other; plugins/modules/systemd_stop_units.py documents it."""

from __future__ import annotations

import time

from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.systemd_units import stop_failure


class ActionModule(ActionBase):
    """Runs a command on the host for each group, so that a run that is killed stops no other."""

    _supports_check_mode = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={
                "groups": {"type": "list", "elements": "list", "required": True},
                "timeout": {"type": "int", "default": 600},
            }
        )
        groups, timeout = arguments["groups"], arguments["timeout"]
        end = time.monotonic() + timeout
        for units in groups:
            # systemd stops all of a group, in their order, also where this run ends in between.
            seconds = max(1, int(end - time.monotonic()))
            stopped = self._command(task_vars, "timeout", str(seconds), "systemctl", "stop", "--", *units)
            if stopped.get("rc") != 0:
                states = str(self._command(task_vars, "systemctl", "is-active", "--", *units).get("stdout") or "")
                message = stop_failure(units, states.splitlines(), stopped, task_vars["inventory_hostname"], timeout)
                return dict(result, failed=True, changed=True, msg=message)
        return dict(result, changed=bool(groups))

    def _command(self, task_vars, *argv):
        """The result of a command on the host, as the module command returns it."""
        return self._execute_module(
            module_name="ansible.legacy.command", module_args={"argv": list(argv)}, task_vars=task_vars
        )
