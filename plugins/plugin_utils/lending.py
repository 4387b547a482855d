# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of the modules that need NVML: a host without nvidia-ml-py runs them with a copy of the controller's."""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import os

from ansible.plugins.action import ActionBase, normal

from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import is_older
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.binding import REQUIREMENT

NAME, _operator, MINIMUM = REQUIREMENT.partition(">=")
FILE = "pynvml.py"


class Lending(ActionBase):
    """Runs a module of the collection, and once more where all that it lacked was nvidia-ml-py.

    The copy goes to a temporary directory of Ansible's and with it; nothing that stays is changed.
    """

    _lent = None

    def lending(self, execute):
        """The result of ``execute``, which runs the module; with nvidia_ml_py where it took the controller's."""
        result = execute()
        path = result.get("nvidia_ml_py") == "missing" and controllers_copy()
        if not path:
            return result
        # Not the module's own: Python does not look for modules there, as Ansible starts it.
        shell = self._connection._shell
        directory, shell.tmpdir = self._make_tmp_path(), None
        copy = shell.join_path(directory, FILE)
        try:
            self._transfer_file(path, copy)
            self._fixup_perms2([directory, copy])
            self._lent = directory
            return {"nvidia_ml_py": "temporary", **execute()}
        finally:
            self._lent = None
            self._remove_tmp_path(directory)

    def _compute_environment_string(self, raw_environment_out=None):
        # What the host calls its temporary directory must not be templated, as what stands in a task would be.
        environment = {}
        prefix = super()._compute_environment_string(environment)
        if self._lent:
            paths = [self._lent, environment.get("PYTHONPATH")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            # Whoever removes the directory may not remove what another user, root, has written into it.
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
            prefix = self._connection._shell.env_prefix(**environment)
        if raw_environment_out is not None:
            raw_environment_out.update(environment)
        return prefix


class ActionModule(Lending, normal.ActionModule):
    """Runs the module of the same name as Ansible does, lending where that is needed."""

    def run(self, tmp=None, task_vars=None):
        return self.lending(lambda: normal.ActionModule.run(self, tmp, task_vars))


def controllers_copy():
    """The path of the controller's pynvml.py, None where it has none or an older one than the modules need."""
    try:
        version = importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return None
    found = importlib.util.find_spec("pynvml")
    fit = not is_older(version, MINIMUM)
    return found.origin if fit and found and os.path.basename(found.origin or "") == FILE else None


def controllers_nvidia_ml_py(directory):
    """The files to copy so that ``directory`` of a host has the controller's nvidia-ml-py.

    Returns [{"src": path here, "folder": path there, "dest": path there}], none where the controller has no fit one.
    """
    source = controllers_copy()
    found = glob.glob(os.path.join(os.path.dirname(source), "nvidia_ml_py-*.dist-info", "METADATA")) if source else []
    if len(found) != 1:
        return []
    folder = f"{directory}/{os.path.basename(os.path.dirname(found[0]))}"
    return [
        {"src": source, "folder": directory, "dest": f"{directory}/{FILE}"},
        {"src": found[0], "folder": folder, "dest": f"{folder}/METADATA"},
    ]
