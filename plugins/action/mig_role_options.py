# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the variables of a role once, before anything is done; plugins/modules/mig_role_options.py documents it."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_action import Refused, RoleAction


class ActionModule(RoleAction):
    """Runs on the controller alone, and contacts no host."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={
                "entry_point": {"type": "str"},
                "together": {"type": "bool", "default": False},
                "one_of": {"type": "list", "elements": "str", "default": []},
                "fail": {"type": "bool", "default": True},
            }
        )
        try:
            options, refusal = self.take(task_vars, **arguments)
        except Refused as failure:
            return {**result, **failure.result()}
        return dict(result, changed=False, options=options, refusal=refusal)
