# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the variables of mig_partition, and says what is asked for; documented in plugins/modules."""

from __future__ import annotations

import os
import uuid

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.plugin_utils.mig_parted import read_mig_parted
from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.request import has_more, mistakes, no_layout
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variables.role_action import Refused, RoleAction

LAYOUTS = ("mig_partition_layout", "mig_partition_mig_parted_label")
# What whoever includes the role may give it: its claim on the host, and a layout that outranks all others.
WITHIN, WANTED, NO_LAYOUT = "__mig_partition_within", "__mig_partition_wanted", "__mig_partition_no_layout"


class ActionModule(RoleAction):
    """Runs on the controller alone, and contacts no host."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={"entry_point": {"type": "str", "choices": ["main", "verify"], "default": "main"}}
        )
        try:
            request = self._request(arguments["entry_point"], task_vars)
        except Refused as failure:
            return {**result, **failure.result()}
        return dict(result, changed=False, **wrap_var(request))

    def _request(self, entry_point, task_vars):
        """What the module returns beside what all do. Raises Refused."""
        main, host = entry_point == "main", task_vars["inventory_hostname"]
        options, refusal = self.take(task_vars, entry_point, together=main, one_of=LAYOUTS, fail=not main)
        given = {name: self.given(name, task_vars) for name in (WITHIN, WANTED, NO_LAYOUT)}
        within = given[WITHIN] or {}
        request = {
            "options": options,
            "wanted": given[WANTED] or [],
            "no_layout": given[NO_LAYOUT] or no_layout(host),
            "refusal": refusal,
            "begins": bool(refusal) or "before_check" in (options.get("mig_partition_tasks") or {}),
            "label": None,
            "claim": None,
            "persistence": None,
        }
        # With --tags check only the check runs, and nothing that would release the host.
        if "all" in task_vars.get("ansible_run_tags", ["all"]):
            request["claim"] = {
                "change_id": within.get("change_id") or str(uuid.uuid4()),
                "claimed": bool(within.get("claimed")),
                "keep": has_more(options),
                "timeout": options.get("mig_partition_claim_timeout", 0),
                "grace": options.get("mig_partition_claim_grace", 0),
            }
        try:
            if not refusal and not request["wanted"]:
                request["wanted"], request["label"] = self._layout(options, task_vars)
            if main and not refusal:
                wrong = " ".join(mistakes(options, os.path.isfile, os.path.isdir))
                if wrong:
                    raise Refused(f"Nothing was done, because of the variables of gpufleet.mig.mig_partition. {wrong}")
                if options["mig_partition_persistence"]:
                    request["persistence"] = self._persistence(task_vars)
        except Refused as failure:
            if not main:
                raise
            request.update(refusal=str(failure), begins=True)
        return request

    def _layout(self, options, task_vars):
        """(the layout that these options ask for, [] without any; the label that gave it, or None). Raises Refused."""
        config, label = (options.get(f"mig_partition_mig_parted_{name}") for name in ("config", "label"))
        if options.get("mig_partition_layout") or not (config and label):
            return options.get("mig_partition_layout") or [], None
        host = task_vars["inventory_hostname"]
        lookup = lookup_loader.get("ansible.builtin.file", loader=self._loader, templar=self._templar)
        try:
            (text,) = lookup.run([config], variables=task_vars)
            return read_mig_parted(text, label), label
        except (AnsibleError, LayoutError) as error:
            raise Refused(f"Nothing was done for {host}: {str(error).rstrip('.')}.") from error

    def _persistence(self, task_vars):
        """The options of mig_persistence as the module of that name has them, but for the layout. Raises Refused."""
        options = self.others_options("mig_persistence", "main", task_vars)
        return {name: options[f"mig_persistence_{name}"] for name in ("state", "backend", "start", "driver_timeout")}
