# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: results
type: notification
short_description: Writes each task result as a line of JSON to the file that RESULTS_FILE names
description:
  - One object a line with C(host), C(task), C(action), C(status), C(result) and C(at), seconds of a clock.
  - Modules are packed once for all runs whose environment names a folder MADE_ONCE, instead of once a run.
requirements:
  - RESULTS_FILE in the environment
"""

import json
import os
import time

from ansible import constants
from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._path = os.environ["RESULTS_FILE"]
        if "MADE_ONCE" in os.environ:
            packed = os.path.join(os.environ["MADE_ONCE"], f"packed by {__version__}")
            os.makedirs(packed, exist_ok=True)
            os.symlink(packed, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
            # Looking for results a thousand times a second costs a tenth of a core that the other tests could use.
            constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.01

    def _write(self, status, result):
        line = {
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "action": result._task.action,
            "status": status,
            "at": time.monotonic(),
            "result": result._result,
        }
        with open(self._path, "a", encoding="utf-8") as results:
            results.write(json.dumps(line, cls=AnsibleJSONEncoder) + "\n")

    def v2_runner_on_ok(self, result):
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write("failed", result)

    def v2_runner_on_skipped(self, result):
        self._write("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self._write("unreachable", result)
