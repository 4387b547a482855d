# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells what became of every host; plugins/modules/mig_summary.py documents it."""

from __future__ import annotations

import json
import os
import shlex
import tempfile

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.fleet import merged, report, table
from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.host import UNFINISHED
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_options import planted, planted_refusal


class ActionModule(ActionBase):
    """Runs once for all hosts of a batch, on the controller alone."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(argument_spec={"report": {"type": "path"}})
        everyone = task_vars["ansible_play_hosts_all"]
        batch = self._batch(everyone) or task_vars["ansible_play_batch"]
        # Not templated: a host may answer with facts so deep that templating them fails, and that for all hosts.
        variables = {host: task_vars["hostvars"].raw_get(host) for host in everyone}
        results = {host: _result(variables[host]) for host in everyone}
        facts = {host: planted(variables[host].get("ansible_facts") or {}) for host in everyone}
        data = report(
            {host: one for host, one in results.items() if one},
            everyone,
            batch,
            task_vars["ansible_play_hosts"],
            self._task.check_mode,
            {host: planted_refusal(host, names) for host, names in facts.items() if names},
        )
        lines = table(data, everyone if data["complete"] else batch, _command(context.CLIARGS))
        for line in ["", *lines, ""]:
            self._display.display(line)
        if arguments["report"]:
            path = _beside(arguments["report"]) if self._task.check_mode else arguments["report"]
            # Who was left out by --limit keeps what an earlier run has found.
            _write(path, merged(data, _read(path)) if context.CLIARGS.get("subset") else data)
        return dict(result, changed=False, summary=lines)

    def _batch(self, everyone):
        """The hosts of this batch, those that have failed included, of which ansible_play_batch does not tell."""
        inventory = getattr(self._task.get_variable_manager(), "_inventory", None)
        there = {str(one) for one in inventory.get_hosts()} if inventory else ()
        return [host for host in everyone if host in there]


def _command(arguments):
    """The command of this run without its options, whose values may be secrets; "" where it was no command."""
    playbooks = arguments.get("args") or ()
    return " ".join(["ansible-playbook", *map(shlex.quote, playbooks), "…"]) if playbooks else ""


def _result(variables):
    """What the role has set as mig_partition_result, and not what a host's facts call so."""
    facts, own = variables.get("ansible_facts") or {}, ("mig_partition_result", "__mig_partition_request")
    result, request = (None if variables.get(name) == facts.get(name) else variables.get(name) for name in own)
    # The role has begun with the host, and has not ended since.
    if request and request.get("claim") and (result or {}).get("change_id") != request["claim"]["change_id"]:
        return {"state": UNFINISHED}
    return result


def _beside(path):
    """Where a run in check mode writes instead: the report tells of what was done."""
    name, extension = os.path.splitext(path)
    return f"{name}.check{extension or '.json'}"


def _read(path):
    """What an earlier run has written there, None where nothing can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None


def _write(path, data):
    """The report, whole or not at all: a pipeline may read it at any moment."""
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".mig-report-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=2)
                file.write("\n")
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise AnsibleActionFail(f"The report {path} could not be written: {error.strerror}.") from error
