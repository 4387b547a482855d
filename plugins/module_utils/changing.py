# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_mode and mig_instances share: from their options to a Change, through one NVML session."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from functools import partial

from .host_state import HostState
from .nvml import Session
from .results import journal_record
from .transaction import Options, change, rehearse


def run(module, decide, leave_pending=False):
    """Change the host, or in check mode and for a rehearsal only plan to. Returns a Change.

    ``module`` is the AnsibleModule, ``decide(snapshot)`` is a decision of host_planner. Raises MigError.
    """
    params = module.params
    if module.check_mode or params["rehearse"]:
        return rehearse(Session, decide)
    options = Options(params["atomic"], leave_pending, params.get("busy_timeout", 0))
    session = partial(Session, module.run_command)
    return change(session, decide, HostState(params["state_dir"]), params["lock_timeout"], options, journal_of(params))


def journal_of(params, cause="ansible"):
    """What makes journal records, or None where none are wanted; the records of one change share an id.

    ``cause`` is ``boot`` where the saved layout comes back: the GPUs were as a boot leaves them, nobody's layout.
    """
    if not params["journal"]:
        return None
    who = {
        "change": str(uuid.uuid4()),
        "cause": cause,
        "user": getpass.getuser(),
        "sudo_user": os.environ.get("SUDO_USER"),
        "pid": os.getpid(),
    }

    def record(result):
        return dict(journal_record(result), time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **who)

    return record
