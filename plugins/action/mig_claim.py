# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of a claim on a host: who claims it, and whether the process that has it still lives."""

from __future__ import annotations

import getpass
import os
import re
import time
import uuid

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.mig.plugins.plugin_utils.claimant import claimant, is_gone, is_this_run
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.connection_variables import planted_connection
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_options import planted_refusal

# A connection that is silent for long may be cut, and a controller that holds a host may end meanwhile.
WAIT_SECONDS = 20
# The id of a claim comes from the host.
CHANGE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A host has one claim; one that goes on telling of others, all of runs that have ended, is not believed for ever.
GONE = 8


class ActionModule(ActionBase):
    """Runs the module of the same name, which plugins/modules/mig_claim.py documents."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
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
                result.update(self._take(arguments, task_vars))
            else:
                result.update(self._ask(arguments, task_vars))
        except AnsibleConnectionFailure as error:
            # A failure like any other for the role, which has to tell of it; it reaches for the host once more then.
            result.update(failed=True, unreachable_host=True, msg=str(error))
        return result

    def _take(self, arguments, task_vars):
        """Take the host, now or within the time that there is for it."""
        host = task_vars["inventory_hostname"]
        arguments.update(user=getpass.getuser(), controller=claimant(os.getppid(), host))
        end = time.monotonic() + float(arguments.get("timeout") or 0)
        arguments["timeout"] = 0
        over = []
        while True:
            answer = self._ask(arguments, task_vars)
            held = answer.get("held")
            if answer.get("failed") or not held:
                return dict(answer, change_id=arguments["change_id"], taken=bool(answer.get("claimed")))
            there = held.get("controller")
            if is_this_run(there, arguments["controller"]) and CHANGE_ID.fullmatch(str(held.get("id"))):
                return {"change_id": held["id"], "claimed": True, "taken": False}
            if is_gone(there) and held.get("id") not in over and len(over) < GONE:
                over.append(held["id"])
                arguments["over"] = over[-1:]
                continue
            left = end - time.monotonic()
            if left <= 0:
                return dict(answer, failed=True, msg=_refusal(host, answer["held_by"]))
            arguments["timeout"] = min(WAIT_SECONDS, left)

    def _ask(self, arguments, task_vars):
        answer = self._execute_module("gpufleet.mig.mig_claim", module_args=arguments, task_vars=task_vars)
        # It has none; a host that answers some sets variables with them.
        answer.pop("ansible_facts", None)
        return answer


def _refusal(host, held_by):
    return (
        f"{host} is claimed by {held_by}. Nothing was read or changed. Wait for that run, or let this one wait with "
        f"mig_partition_claim_timeout. If that run is gone for good: ansible-playbook gpufleet.mig.restore -l {host} "
        "takes the host from it once its time has passed, and with -e mig_restore_claim=take at once."
    )
