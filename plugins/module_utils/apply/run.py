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

from ..errors import MigError
from ..holders.asking import heeding_allocations, with_names
from ..layout import saved_layout
from ..layout.kept_profiles import Memory, memory_of, merged, to_data
from ..nvml.reading import GATHER
from ..nvml.session import Session
from ..results.change import journal_record
from .claims import heeding_claims
from .journal import last_profiles
from .outcome import Options
from .state_directory import HostState
from .transaction import change, rehearse


def run(module, decide, leave_pending=False, gather=GATHER):
    """Change the host, or in check mode and for a rehearsal only plan to. Returns a Change.

    ``module`` is the AnsibleModule, ``decide(snapshot)`` is a decision of plan/host.py, ``gather`` what it needs to
    know. Raises MigError.
    """
    params = module.params
    state = HostState(params["state_dir"], heeding_claims(module))
    memory = remembered(state)
    decide = heeding_allocations(remembering(decide, memory))
    if module.check_mode or params["rehearse"]:
        return with_names(rehearse(partial(Session, gather=gather), decide), module.run_command)
    options = Options(params["atomic"], leave_pending, params.get("busy_timeout", 0), params.get("reset", True))
    session = partial(Session, module.run_command, gather)
    done = change(session, decide, state, params["lock_timeout"], options, journal_of(params, memory=memory))
    return with_names(done, module.run_command)


def remembered(host_state):
    """{GPU UUID in lower case: KeptProfiles}, a Memory: what this host knows of the names of profiles, by its saved
    layout and its journal. It helps with names that the driver has no more, so what cannot be read is left out.
    """

    def read():
        try:
            saved = saved_layout.memory(saved_layout.PATH)
        except MigError:
            saved = {}
        return merged(saved, last_profiles(host_state.journal))

    return Memory(read)


def remembering(decide, memory):
    """``decide`` on a host that remembers this of the names of profiles."""
    return lambda snapshot: decide(snapshot._replace(kept_profiles=memory))


def journal_of(params, cause="ansible", memory=None):
    """What makes journal records, or None where none are wanted; the records of one change share an id.

    ``cause`` is ``boot`` where the saved layout comes back: the GPUs were as a boot leaves them, nobody's layout. What
    the host remembers of the names of profiles goes on into its newest record.
    """
    if not params["journal"]:
        return None
    who = {
        "change": params.get("change_id") or str(uuid.uuid4()),
        "cause": cause,
        "user": getpass.getuser(),
        "sudo_user": os.environ.get("SUDO_USER"),
        "pid": os.getpid(),
    }

    def record(result):
        told = {} if result.outcomes else merged(memory or {}, memory_of(plan.gpu for plan in result.plans))
        known = {"profiles": to_data(told)} if told else {}
        return dict(journal_record(result), **known, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **who)

    return record
