# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_check does: from its options to its result, through one NVML session."""

from __future__ import annotations

import os
import re
import sys

from ..apply.claims import known_claim
from ..apply.journal import UNKNOWN, WAY_OUT
from ..apply.state_directory import HostState
from ..drain.record import DRAINED
from ..driver_releases import model_of
from ..errors import MigError
from ..facts.snapshot import facts_of
from ..host.evidence import library_version, read_evidence
from ..layout.written import layout_entry, layout_of
from ..model import RESET_GPU, GpuState, Snapshot
from ..nvml.binding import binding_of
from ..nvml.reading import GATHER, GATHER_FOR_RESET
from ..nvml.session import Session
from ..results.data import gpu_data
from .findings import ERROR, PASSED_ON, WARNING, Finding, check_host, check_without_nvml, finding_data

NOTHING = {
    "reached": True,
    "refusal": None,
    "nothing_to_compare": None,
    "in_the_way": None,
    "plan": [],
    "target": [],
    "not_checked": [],
    "actions": [],
    "diff": {"before": "", "after": ""},
    "kept": [],
    "disrupted": [],
    "must_be_free": [],
    "blockers": [],
    "reset_gpus": [],
    "reset_required": False,
    "reboot_required": False,
}


def check(params, run_command, root="/"):
    """The result of mig_check and its warnings; ``params`` are its options, ``root`` is where the host's files are.

    Raises MigError for bad input and for nothing else.
    """
    minimum = params["minimum"]
    if minimum and not re.fullmatch(r"[0-9]+(\.[0-9]+){1,2}", minimum):
        raise MigError(f"minimum: got {minimum!r}; expected a driver version such as 535.161.07")
    state = HostState(params["state_dir"])
    entries = None
    if params["layout"] is not None:
        # Loaded only where it is used, as all the planner: compiling it is a good part of what a check costs.
        from ..layout.entries import validate_layout

        entries = validate_layout(params["layout"])
    evidence = read_evidence(root, run_command if params["container_runtime"] else None)
    problem = snapshot = None
    states = {}
    try:
        with Session() as session:
            snapshot = session.read(GATHER if entries is None else GATHER_FOR_RESET)
            states = {gpu.uuid: session.state(gpu) for gpu in snapshot.gpus if gpu.mig_capable and not gpu.problem}
    except MigError as error:
        problem = error
    has_gpus = evidence.nvidia_devices or bool(snapshot and snapshot.gpus)
    rehearsed, warnings = {}, []
    if problem or not has_gpus:
        snapshot = Snapshot()
        findings = check_without_nvml(evidence, problem, library_version(root)) if problem else []
        mig_capable = any(model_of(gpu.pci_device_id) for gpu in evidence.gpus if gpu.driver != PASSED_ON)
        if entries is not None:
            rehearsed = dict(NOTHING, reached=not any(finding.severity == ERROR for finding in findings))
    else:
        mig_capable = any(gpu.mig_capable or model_of(gpu.pci_device_id) for gpu in snapshot.gpus)
        if entries is not None:
            from ..apply.run import remembered

            snapshot = snapshot._replace(kept_profiles=remembered(state))
        findings, rehearsed, warnings = _check_and_rehearse(evidence, snapshot, states, entries, params, run_command)
    interrupted, unknown = state.look_back()
    if interrupted:
        findings.append(_interrupted(interrupted))
    claim, unreadable = known_claim(state)
    if unreadable:
        findings.append(Finding("claim", WARNING, None, unreadable, "Until then", "no run can claim this host."))
    if unknown:
        findings.append(Finding("journal", WARNING, None, unknown, UNKNOWN, WAY_OUT))
    errors = [finding for finding in findings if finding.severity == ERROR]
    return {
        "ok": not errors,
        "problem": _in_words(errors),
        "advice": _in_words([finding for finding in findings if finding.severity == WARNING]),
        "findings": [finding_data(finding) for finding in findings],
        "evidence": _evidence_data(evidence, snapshot, states, has_gpus, mig_capable),
        "interrupted": interrupted,
        "claim": claim,
        "drained": os.path.lexists(os.path.join(state.path, DRAINED)),
        "mig": facts_of(snapshot, ("instances", "processes")),
        "before": [entry for entry in map(layout_of, snapshot.gpus) if entry],
        **rehearsed,
        **(problem.result if problem else {}),
    }, warnings


def _check_and_rehearse(evidence, snapshot, states, entries, params, run_command):
    """(findings, what the rehearsal found, warnings); a layout that does not match the GPUs here is bad input,
    unless a finding explains it."""
    if entries is None:
        return check_host(evidence, snapshot, states, minimum=params["minimum"]), {}, []
    if not any(gpu.mig_capable or gpu.problem or model_of(gpu.pci_device_id) for gpu in snapshot.gpus):
        # A layout for a group need not be one for its hosts without MIG.
        findings = check_host(evidence, snapshot, states, minimum=params["minimum"])
        return findings, dict(NOTHING, reached=not any(finding.severity == ERROR for finding in findings)), []
    from ..errors import LayoutError
    from ..layout.entries import resolve_layout

    try:
        wanted, mismatch = resolve_layout(entries, snapshot.gpus), None
    except LayoutError as error:
        wanted, mismatch = (), error
    findings = check_host(evidence, snapshot, states, entries, wanted, params["minimum"])
    if not mismatch:
        rehearsed, warnings = _rehearse(snapshot, states, entries, params["keep"], run_command)
        capable = [gpu for gpu in snapshot.gpus if gpu.mig_capable]
        if capable and not wanted:
            rehearsed["nothing_to_compare"] = _nothing_to_compare(capable)
            warnings = [*warnings, rehearsed["nothing_to_compare"]]
        return findings, rehearsed, warnings
    if not any(finding.severity == ERROR for finding in findings):
        raise mismatch
    return findings, dict(NOTHING, reached=False, refusal=str(mismatch)), []


def _rehearse(snapshot, states, entries, keep, run_command):
    """What a change would do; a GPU that is passed through to this machine is expected to take a reboot for a reset.

    Rule: reset in a virtual machine
    """
    from ..apply.outcome import Change
    from ..holders.asking import heeding_allocations, with_names
    from ..plan.host import decide_layout
    from ..results.change import not_checked, result_of

    decide = heeding_allocations(lambda read: decide_layout(read, entries, keep))
    decisions, warnings = decide(snapshot)
    change = with_names(Change(tuple(decisions)), run_command)
    result, refusal = result_of(change, real=False, rehearsal=True)
    del result["changed"]
    in_place, reboot = [], False
    for step in (step for plan in change.plans for step in plan.steps if step.action == RESET_GPU):
        passed_through = states.get(step.gpu.uuid, GpuState()).virtualization == "pass-through"
        if passed_through or not step.gpu.pci_address:  # nothing resets a GPU without an address
            reboot = True
        else:
            in_place.append(gpu_data(step.gpu))
    found = {
        "reached": not refusal and not result["plan"],
        "refusal": refusal,
        # What a run would be refused for and a rehearsal is not.
        "in_the_way": result_of(change, real=False)[1] if change.refusals and not refusal else None,
        "target": [] if refusal else [entry for entry in map(_target, change.plans) if entry],
        "not_checked": [] if refusal else not_checked(change),
        "reset_gpus": [] if refusal else in_place,
        "reset_required": bool(in_place) and not refusal,
        "reboot_required": reboot and not refusal,
    }
    return {**NOTHING, **result, **found}, warnings


def _nothing_to_compare(gpus):
    return (
        f"No entry of the layout is about any MIG-capable GPU of this host: {'; '.join(gpu.name for gpu in gpus)}. So "
        "nothing was compared. Look at gpus, product and pci_device_id of the entries; the file of nvidia-mig-parted "
        "has no entry for some models."
    )


def _target(plan):
    """The layout entry that a plan leaves; None where the driver has not told what the GPU can hold."""
    if not plan.mig_mode:
        return layout_entry(plan.gpu, None)
    return None if plan.target is None else layout_entry(plan.gpu, plan.target)


def _interrupted(record):
    who = record.get("sudo_user") or record.get("user") or "somebody"
    return Finding(
        "interrupted",
        WARNING,
        None,
        f"The last change of this host, by {who} at {record.get('time') or 'an unknown time'}, was cut short.",
        "Instances may be half-made.",
        "Running a change again finishes it; the journal in the state directory has the layout before.",
    )


def _in_words(findings):
    if not findings:
        return None
    from ..results.change import said_once

    return said_once([(finding.gpu, finding.message) for finding in findings])


def _evidence_data(evidence, snapshot, states, has_gpus, mig_capable):
    return {
        "nvidia_devices": has_gpus,
        "mig_capable": mig_capable,
        "python": sys.executable,
        "nvidia_ml_py": binding_of(),
        "driver_version": snapshot.driver_version,
        "cuda_version": snapshot.cuda_version,
        "kernel_module": evidence.kernel_module,
        "pci_devices": [
            dict(device._asdict(), pci_device_id=f"0x{device.pci_device_id:08X}") for device in evidence.gpus
        ],
        "nvswitches": list(evidence.nvswitches),
        "fabric_manager": evidence.fabric_manager,
        "persistence_daemon": evidence.persistence_daemon,
        "container_toolkit": evidence.container_toolkit or None,
        "user": evidence.user,
        "gpus": [dict(gpu_data(gpu), **states[gpu.uuid]._asdict()) for gpu in snapshot.gpus if gpu.uuid in states],
    }
