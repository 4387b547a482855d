# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: concise
type: stdout
short_description: Show what was changed and what failed, and nothing else
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Shows a line for each task that changed something or failed, with the hosts together, and a line where hosts begin
    with a stage of the role gpufleet.mig.mig_partition. Tasks that are ok or skipped are not shown.
  - With C(--diff) equal differences are shown once.
  - A failure that is rescued is one line. The table at the end of the role says why.
  - The recap is one line.
  - With C(-v) the output is that of P(ansible.builtin.default#callback).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set C(stdout_callback = gpufleet.mig.concise) in the section C([defaults]) of C(ansible.cfg), or
    E(ANSIBLE_STDOUT_CALLBACK).
"""

from ansible import constants as C
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.concise import (
    CHANGED,
    FAILED,
    RESCUED,
    SAID,
    UNREACHABLE,
    recap,
    stage_lines,
    task_lines,
    warnings,
)
from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.host import failure_message

COLOURS = {
    CHANGED: C.COLOR_CHANGED,
    SAID: C.COLOR_OK,
    RESCUED: C.COLOR_WARN,
    FAILED: C.COLOR_ERROR,
    UNREACHABLE: C.COLOR_UNREACHABLE,
}
CLAIM = "gpufleet.mig.mig_claim"
SUMMARY = "gpufleet.mig.mig_summary"
ROLE = "mig_partition"
DEBUG = ("debug", "ansible.builtin.debug", "ansible.legacy.debug")


class CallbackModule(Default):
    """Collects the results of a task and says them when the next one begins; with -v it is the parent."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "gpufleet.mig.concise"

    def __init__(self):
        super().__init__()
        self._name, self._stages = "", {}
        self._outcomes, self._diffs, self._begun, self._warned = [], [], [], []
        self._told = False  # whether the table of the play has been shown

    def v2_playbook_on_play_start(self, play):
        self._say()
        self._told, self._stages = False, {}
        if self._display.verbosity:
            super().v2_playbook_on_play_start(play)
        else:
            self._play = play
            self._display.display(f"PLAY [{play.get_name().strip()}]")

    def _task_start(self, task, prefix=None):
        self._say()
        self._name = task.get_name().strip()
        if self._display.verbosity:
            super()._task_start(task, prefix)

    def v2_runner_on_ok(self, result):
        if self._display.verbosity:
            return super().v2_runner_on_ok(result)
        task, data, host = result._task, result._result, result._host.get_name()
        if isinstance(task, TaskInclude):
            return None
        self._warn(result)
        if task.action == SUMMARY:
            self._told = True
        elif task.action == CLAIM and task.args.get("state") == "renewed" and isinstance(data.get("stage"), str):
            # A stage sees several times that the host is still the run's.
            if self._stages.get(host) != data["stage"]:
                self._stages[host] = data["stage"]
                self._begun.append((host, data["stage"]))
        elif task.action in DEBUG and not data.get("changed"):
            self._collect(result, SAID, str(data["msg"]) if "msg" in data else self._dump_results(data))
        elif data.get("changed"):
            self._collect(result, CHANGED)
        return None

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if self._display.verbosity:
            super().v2_runner_on_failed(result, ignore_errors)
        else:
            self._warn(result)
            self._fail(result, FAILED, ignore_errors)

    def v2_runner_on_unreachable(self, result):
        if self._display.verbosity:
            super().v2_runner_on_unreachable(result)
        else:
            self._fail(result, UNREACHABLE, result._task.ignore_unreachable)

    def v2_on_file_diff(self, result):
        if self._display.verbosity:
            return super().v2_on_file_diff(result)
        data = result._result
        for one in data.get("results") or [data] if result._task.loop else [data]:
            text = self._get_diff(one["diff"]) if one.get("diff") and one.get("changed") else ""
            if text:
                self._diffs.append((result._host.get_name(), text))
        return None

    def v2_playbook_on_stats(self, stats):
        self._say()
        if self._display.verbosity:
            super().v2_playbook_on_stats(stats)
        else:
            self._display.display(recap({host: stats.summarize(host) for host in stats.processed}))

    def v2_playbook_on_no_hosts_remaining(self):
        self._say()
        if self._display.verbosity:
            super().v2_playbook_on_no_hosts_remaining()

    def _fail(self, result, kind, ignored):
        """A failure. What the role's table tells, before or after it, is not told here."""
        is_rescued, in_role = _surroundings(result._task)
        kind = RESCUED if ignored or (is_rescued and kind == FAILED) else kind
        told = in_role and (self._told or kind == RESCUED)
        self._collect(result, kind, "" if told else failure_message(result._result))

    def _warn(self, result):
        """Keep the warnings of a result; what is left, such as deprecations, is the parent's."""
        for one in result._result.pop("warnings", None) or ():
            text = one if isinstance(one, str) else getattr(getattr(one, "event", None), "msg", one)
            self._warned.append((result._host.get_name(), str(text)))
        self._handle_warnings(result._result)

    def _collect(self, result, kind, message=""):
        self._outcomes.append((result._host.get_name(), kind, message))

    def _say(self):
        """What the last task has done."""
        for text in warnings(self._warned):
            self._display.warning(text)
        for line in stage_lines(self._begun):
            self._display.display(line)
        for line, kind in task_lines(self._name, self._outcomes, self._diffs):
            self._display.display(line, color=COLOURS.get(kind))
        self._outcomes, self._diffs, self._begun, self._warned = [], [], [], []


def _only_with_v(name):
    """A method of the parent that says nothing without -v."""

    def method(self, *arguments, **more):
        if self._display.verbosity:
            getattr(Default, name)(self, *arguments, **more)

    return method


for _name in (
    *("v2_runner_on_skipped", "v2_runner_item_on_ok", "v2_runner_item_on_failed", "v2_runner_item_on_skipped"),
    *("v2_playbook_on_include", "v2_runner_retry", "v2_runner_on_async_poll", "v2_runner_on_async_ok"),
):
    setattr(CallbackModule, _name, _only_with_v(_name))


def _surroundings(task):
    """(whether a failure of this task is rescued, whether it belongs to the role mig_partition)."""
    rescued, in_role, one, seen = False, False, task, set()
    while one is not None:
        # What a static import brings stands in the block itself, and names the import as its parent.
        seen.add(one._uuid)
        role, parent = getattr(one, "_role", None), getattr(one, "_parent", None)
        in_role = in_role or (role is not None and role.get_name().rpartition(".")[2] == ROLE)
        if isinstance(parent, Block) and parent.rescue:
            rescued = rescued or any(inside._uuid in seen for inside in parent.block)
        one = parent
    return rescued, in_role
