# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kill_at
type: notification
short_description: Kills its own run of ansible-playbook at the task that KILL_AT names
description:
  - KILL_AT is a JSON list of the task's name (with or without the role's before it, C(*) for any), C(start) or C(end),
    which time that is to be, counted over all hosts, and how it ends. C(tree) is SIGKILL for all its processes; the
    name of a signal is for ansible-playbook alone.
  - C(start) is before a host begins it, C(end) is when a host's result is there, whatever it is, and nothing follows.
requirements:
  - KILL_AT in the environment
"""

import json
import os
import signal
import sys

from ansible.plugins.callback import CallbackBase

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from process_tree import kill_tree


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "kill_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._task, self._when, self._times, self._how = json.loads(os.environ["KILL_AT"])

    def _reached(self, when, task):
        if when == self._when and self._task in ("*", task.name, task.get_name()):
            self._times -= 1
            if not self._times and self._how == "tree":
                kill_tree(os.getpid())
            elif not self._times:
                os.kill(os.getpid(), signal.Signals[self._how])

    def v2_runner_on_start(self, host, task):
        self._reached("start", task)

    def _ended(self, result):
        self._reached("end", result._task)

    def v2_runner_on_ok(self, result):
        self._ended(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._ended(result)

    def v2_runner_on_skipped(self, result):
        self._ended(result)

    def v2_runner_on_unreachable(self, result):
        self._ended(result)
