# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks a host for the role mig_driver, and decides; documented in plugins/modules."""

from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.gpufleet.mig.plugins.plugin_utils.claiming import take
from ansible_collections.gpufleet.mig.plugins.plugin_utils.driver import judged
from ansible_collections.gpufleet.mig.plugins.plugin_utils.lending import Lending
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_action import Refused, RoleAction
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_options import planted, planted_refusal

# What of the role's variables the module takes.
OPTIONS = ("layout", "keep", "minimum", "container_runtime", "state_dir")
# What whoever includes the role may give it: the claim to take before the check, and options of mig_persistence.
WITHIN = "__mig_driver_within"


class ActionModule(Lending, RoleAction):
    """Takes the role's variables, and runs the module of the same name."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(argument_spec={"brought": {"type": "bool", "default": False}})
        try:
            options, _refusal = self.take(task_vars, "main")
            within = self.given(WITHIN, task_vars) or {}
            claim, persistence = within.get("claim"), within.get("persistence")
        except Refused as failure:
            return {**result, **failure.result()}
        asked = {name: options[f"mig_driver_{name}"] for name in OPTIONS if options.get(f"mig_driver_{name}")}
        if persistence:
            asked["persistence"] = persistence
        host = task_vars["inventory_hostname"]
        try:
            found = self._check(asked, claim, host, task_vars)
        except AnsibleConnectionFailure as error:
            # A failure like any other for the role, which has to tell of it; it reaches for the host once more then.
            found = {"failed": True, "unreachable_host": True, "msg": str(error)}
        if names := planted(found.get("ansible_facts") or {}):
            found = {"failed": True, "msg": planted_refusal(host, names)}
        if claim:
            found = {"change_id": claim["change_id"], "claimed": claim["claimed"], "taken": False, **found}
        return {**result, **judged(found, host, self._task.check_mode, arguments["brought"])}

    def _check(self, asked, claim, host, task_vars):
        """What the module returns, with the claim on the host where it is to be claimed."""

        def ask(arguments):
            asked_now = {**asked, "claim": arguments} if arguments else asked
            return self.lending(lambda: self._execute(asked_now, task_vars))

        if not claim or claim["claimed"] or self._task.check_mode:
            return ask(claim)
        found = take(host, claim, ask)
        if found["claimed"] and "ok" not in found:
            # This very ansible-playbook has the host, by another task's claim.
            return ask({**claim, "change_id": found["change_id"], "claimed": True})
        return found

    def _execute(self, arguments, task_vars):
        answer = self._execute_module("gpufleet.mig.mig_driver_check", module_args=arguments, task_vars=task_vars)
        # As ansible.builtin.normal does: another module may follow.
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return answer
