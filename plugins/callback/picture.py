# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: picture
type: aggregate
short_description: Draw every GPU's slices at the end of a run
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - At the end of a playbook run, draws the GPUs of each host that the run has read with M(gpufleet.mig.mig_facts) or
    M(gpufleet.mig.mig_check).
  - Each GPU is a row of memory slices with its GPU instances in them. If a host was read more than once, the picture
    shows which instances of the first reading are still there (kept) and which are new.
  - A busy GPU instance is marked, and its processes are named.
  - Below it are the steps of changes that were planned again during the run (C(replanned_steps)).
  - Colours follow Ansible's own settings, so they appear only on a terminal.
options:
  file:
    description: Write the picture to this file instead of the terminal.
    type: path
    ini:
      - section: gpufleet_mig_picture
        key: file
    env:
      - name: GPUFLEET_MIG_PICTURE_FILE
requirements:
  - Enable it with C(callbacks_enabled = gpufleet.mig.picture) in the section C([defaults]) of C(ansible.cfg), or with
    E(ANSIBLE_CALLBACKS_ENABLED).
"""

from ansible.plugins.callback import CallbackBase
from ansible.utils.color import ANSIBLE_COLOR

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.picture import LEGEND, draw, paint


class CallbackModule(CallbackBase):
    """Collects readings and results of changes while the playbook runs; draws when it has ended."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "gpufleet.mig.picture"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._readings = {}
        self._disrupted = {}
        self._replanned = {}
        self._own_claims = set()

    def v2_runner_on_ok(self, result):
        self._collect(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._collect(result)

    def v2_playbook_on_stats(self, stats):
        if not self._readings:
            return
        hosts = [paint(self._draw(host), ANSIBLE_COLOR) + "\n\n" for host in sorted(self._readings)]
        picture = "".join(hosts) + LEGEND
        path = self.get_option("file")
        if path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(picture + "\n")
        else:
            self._display.banner("GPUs")
            self._display.display(picture)

    def _draw(self, host):
        readings = self._readings[host]
        before = readings[0] if len(readings) > 1 else None
        return draw(host, readings[-1], before, self._disrupted[host], self._replanned[host])

    def _collect(self, result):
        data = result._result
        host = result._host.get_name()
        if "change_id" in data and "claimed" in data:
            self._own_claims.add(data["change_id"])
        # mig_check shows what it read without making facts of it.
        facts = (data.get("ansible_facts") or data).get("mig")
        if isinstance(facts, dict) and "gpus" in facts:
            self._readings.setdefault(host, []).append(dict(facts, claim=self._others_claim(facts, data)))
        disrupted, replanned = self._disrupted.setdefault(host, []), self._replanned.setdefault(host, [])
        # A result without done is a plan only: nothing has happened to the devices that it names.
        if "done" in data:
            disrupted.extend(data.get("disrupted") or ())
            steps = data.get("replanned_steps")
            replanned.extend(steps if isinstance(steps, list) else ())

    def _others_claim(self, facts, data):
        claim = facts.get("claim") or data.get("claim")
        return claim if isinstance(claim, dict) and claim.get("id") not in self._own_claims else None
