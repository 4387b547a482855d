# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What slurm_node_gres does: from its options to its result, with Slurm's files locked."""

from __future__ import annotations

import functools
import os

from ..errors import MigError
from ..visible import visible_lines
from .commands import output_of
from .configuration import check_gres, check_lines, check_node
from .files import Configuration, lock, write

# slurmd waits some time for each device file that gres.conf names and that is not there.
SECONDS = "60"


def node_gres(module, files):
    """Write, try or put back the files: the module's result. Raises MigError and OSError.

    ``module`` is the AnsibleModule. Each file that was written is in ``files``, also where this raises.
    """
    params = module.params
    check_node(params["node"])
    check_gres(params["gres"] or "")
    check_lines(params["lines"] or [], params["node"])
    if not os.path.exists(params["config"]):
        raise MigError(
            f"There is no {params['config']}. A slurmd that gets its files from slurmctld (configless) has none of"
            " its own: name the controller then."
        )
    with lock(params["config"]):
        found = Configuration(params["config"])
        if params["restore"] is not None:
            return _restore(module, found, files)
        changed = _changed(module, found)
        return _try(module, found, changed) if params["slurmd"] else _apply(module, found, changed, files)


def _changed(module, found):
    """{path: its text} of the files in which something is to change."""
    params = module.params

    def scontrol(what, hosts):
        program = os.path.join(params["directory"], "scontrol")
        return output_of([program, "show", what, hosts], module.run_command).split()

    @functools.lru_cache(maxsize=None)
    def expand(names):
        return scontrol("hostnames", names)

    def fold(names):
        return "".join(scontrol("hostlist", ",".join(names)))

    changed = found.changed(params["node"], params["gres"], params["lines"], expand=expand, fold=fold)
    lost = changed and not params["slurmd"] and found.lost(params["node"], params["gres"], expand)
    if lost:
        module.warn(lost)
    return changed


def _try(module, found, changed):
    """Write what would change into another folder, for slurmd to read: the module's result."""
    found.write_into(module.tmpdir, changed)
    command = ["timeout", SECONDS, module.params["slurmd"], "-G", "-f", os.path.join(module.tmpdir, "slurm.conf")]
    # A configuration that it does not take is told in what it prints.
    _status, output, errors = module.run_command(command)
    files = [{"path": path, "backup": ""} for path in changed]
    return {"changed": False, "files": files, "would_have": visible_lines(f"{output}\n{errors}")}


def _apply(module, found, changed, files):
    """Write what changed, each file into ``files`` once it is there: the module's result."""
    for path, text in changed.items():
        backup = ""
        if not module.check_mode:
            backup = module.backup_local(path) if os.path.exists(path) else ""
            write(path, text, module.atomic_move)
        files.append({"path": path, "backup": backup})
    return {"changed": bool(changed), "files": files, "diff": _difference(found, changed)}


def _restore(module, found, files):
    """Put the earlier files back, each into ``files`` once it is there: the module's result."""
    earlier = found.earlier(module.params["restore"])
    now = {**found.texts, found.gres_path: found.gres_text if os.path.exists(found.gres_path) else None}
    changed = {path: text for path, text in earlier.items() if text != now[path]}
    for path, text in changed.items():
        if not module.check_mode:
            if text is None:
                os.unlink(path)
            else:
                write(path, text, module.atomic_move)
        files.append({"path": path, "backup": ""})
    difference = _difference(found, {path: text or "" for path, text in changed.items()})
    return {"changed": bool(changed), "files": files, "diff": difference}


def _difference(found, changed):
    earlier = {**found.texts, found.gres_path: found.gres_text}
    return [
        {"before_header": path, "after_header": path, "before": earlier[path], "after": text}
        for path, text in changed.items()
    ]
