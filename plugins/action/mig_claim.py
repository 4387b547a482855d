# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of a claim on a host."""

from __future__ import annotations

import uuid

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.mig.plugins.plugin_utils.claiming import take
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.connection_variables import planted_connection
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_options import planted_refusal


class ActionModule(ActionBase):
    """Runs the module of the same name, which plugins/modules/mig_claim.py documents."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = {**super().run(tmp, task_vars), "stage": self._task.args.get("stage", "check")}
        # A stage begins: the host has answered since the last one. With these it would choose what runs here.
        if names := planted_connection(task_vars.get("ansible_facts") or {}):
            return dict(result, failed=True, msg=planted_refusal(task_vars["inventory_hostname"], names))
        arguments = dict(self._task.args)
        state = arguments.get("state", "taken")
        change = arguments["change_id"] = arguments.get("change_id") or str(uuid.uuid4())
        claimed = boolean(arguments.pop("claimed", False))
        result.update(changed=False, change_id=change, claimed=claimed, taken=False)
        # Within a run that has the host there is nothing to take, and nothing to renew or release in one that has not.
        if self._task.check_mode or claimed == (state == "taken"):
            return result
        try:
            if state == "taken":
                host = task_vars["inventory_hostname"]
                result.update(take(host, arguments, lambda asked: self._ask(asked, task_vars)))
            else:
                result.update(self._ask(arguments, task_vars))
        except AnsibleConnectionFailure as error:
            # A failure like any other for the role, which has to tell of it; it reaches for the host once more then.
            result.update(failed=True, unreachable_host=True, msg=str(error))
        return result

    def _ask(self, arguments, task_vars):
        answer = self._execute_module("gpufleet.mig.mig_claim", module_args=arguments, task_vars=task_vars)
        # It has none; a host that answers some sets variables with them.
        answer.pop("ansible_facts", None)
        return answer
