# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of one host in a run of the role mig_partition: its fact ``mig_partition_result``. Pure."""

from __future__ import annotations

import contextlib
import json
import re

from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    CREATE_COMPUTE_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import reasons, visible_lines

from ..variables.role_options import planted, planted_refusal

# What kubernetes.core says where the API server refuses: the Python client's exception with the server's answer in it,
# as JSON or, where it is bytes, with each backslash doubled.
STATUS = '"kind":"Status"'
REFUSED = re.compile(r'"message":("(?:[^"\\]|\\.)*")', re.DOTALL)

# Ansible's connection plugin puts behind these words all that ssh printed, a host's banner first.
SSH = re.compile(r"((?:via ssh|over ssh|incorrect password): )")

# What ansible-core puts before some messages from 2.19 on.
FAILED_TASK = "Task failed: "

LONGEST_COMMAND = 100
EARLIER = "earlier"  # among what was restored: what an earlier run had drained

NO_GPUS, NOTHING_TO_COMPARE = "no_gpus", "nothing_to_compare"
UNCHANGED, CHANGED, WOULD_CHANGE, NOT_CHECKED = "unchanged", "changed", "would_change", "not_checked"
FAILED, UNREACHABLE, UNFINISHED, NOT_REACHED = "failed", "unreachable", "unfinished", "not_reached"


def failure_message(result):
    """The sentence in a failed task's result; of a loop, those of its failed items, each once."""
    items = [item for item in result.get("results") or () if item.get("failed")]
    messages = list(dict.fromkeys(failure_message(item) for item in items))
    if messages:
        return " ".join(messages)
    message = str(result.get("msg") or "It gave no reason; see the output above.").strip().removeprefix(FAILED_TASK)
    # Of the first alone: a host may say it thousands of times.
    refused = REFUSED.search(message.replace("\\\\", "\\").partition(STATUS)[2])
    if refused:
        with contextlib.suppress(ValueError):
            return visible_lines(f"The Kubernetes API server says: {json.loads(refused[1])}")
    # Over ssh with a terminal a module that breaks down says why on its output.
    printed = (str(result.get(name) or "") for name in ("stderr", "module_stderr", "module_stdout"))
    # A program that said nothing but a warning gave no other reason.
    why = next((lines[-1].strip() for lines in map(reasons, printed) if lines), "")
    why = why or str(result.get("stderr") or "").strip().rpartition("\n")[2]
    message = _without_warnings(message)
    if message == "non-zero return code" and result.get("cmd"):
        message = f"{_command(result['cmd'])} ended with exit status {result.get('rc')}:"
    return visible_lines(message if why in message else f"{message} {why}")


def without(host, message):
    """A message without the name of its host, to be compared with those of others."""
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "", message or "")


def _command(words):
    """A command as it is shown, of a long one its beginning."""
    line = words if isinstance(words, str) else " ".join(map(str, words))
    return line if len(line) <= LONGEST_COMMAND else f"{line[:LONGEST_COMMAND]}…"


def _without_warnings(message):
    """A message without the warnings of other programs, and of what ssh said the last line, which says why."""
    said = SSH.split(message, maxsplit=1)
    if len(said) == 3:
        start, words, printed = said
        return f"{start}{words}{(reasons(printed) or printed.splitlines() or [''])[-1].strip()}"
    lines = reasons(message)
    warns = lines and len(lines) < sum(bool(line.strip()) for line in message.splitlines())
    return "\n".join(lines).strip() if warns else message


def partition_result(run):
    """One host's result.

    ``run`` holds what the role's tasks left behind: ``claim``, the result of mig_claim, and ``check``, that of
    mig_check, before anything was done;
    ``changes``, the results of mig_mode and mig_instances in their order, those of going back included; ``failures``,
    ``[{stage, message}]``; ``drained`` and ``hooks``, and ``restores``, whether restoring followed; ``rebooted``,
    ``brought_back`` (None where nothing had to go back) and ``check_mode``; ``after``, what mig_check read after the
    change, and ``left``, what it read after going back; ``host`` and the names of its ``facts``; ``label`` and
    ``time``.
    """
    check, failures, check_mode = run["check"], list(run["failures"]), run["check_mode"]
    claim = run.get("claim") or {}
    if claim.get("unreachable_host"):
        check = {"unreachable": True, "msg": claim.get("msg")}
    names = planted(run.get("facts") or ())
    if names and not failures:
        # Nothing was left to do, or another role would have refused it.
        failures.append({"stage": "check", "message": planted_refusal(run["host"], names)})
    refused = bool(failures) and failures[0]["stage"] == "check"
    done = [change for change in run["changes"] if "done" in change and not check_mode]
    changed = any(change.get("changed") for change in done)
    if run["brought_back"]:
        # What came back is as before, but for the devices that the driver gave another life.
        there = {*(check.get("kept") or ()), *(check.get("disrupted") or ())}
        changed = any(there & set(change.get("disrupted") or ()) for change in done)
    plan, actions = _planned(check, run["changes"][:2])
    # In check mode nothing more can be foretold of a host that lacks nvidia-ml-py, like the controller.
    unknown = check_mode and not check.get("ok", True)
    result = {
        "state": _state(check, failures, changed, check_mode and bool(plan), unknown),
        "check_mode": check_mode,
        "changed": bool(changed or (check_mode and plan and not refused)),
        "stage": failures[0]["stage"] if failures else None,
        "message": " ".join(failure["message"] for failure in failures)
        or (check.get("problem") if unknown else None)
        or check.get("nothing_to_compare"),
        "gpus": [
            {key: gpu.get(key) for key in ("index", "uuid", "pci_address", "product")}
            for gpu in (check.get("mig") or {}).get("gpus") or ()
        ],
        "plan": plan,
        "actions": actions,
        "kept": list(check.get("kept") or ()),
        "disrupted": list(check.get("disrupted") or ()),
        "created": _created(done),
        "layout": _layout(run, done),
        "replanned": False,
        "replanned_steps": [],
        "drained": list(run["drained"]),
        "hooks": list(run["hooks"]),
        "restored": _restored(run, failures),
        "reset_gpus": list(check.get("reset_gpus") or ()),
        # What was changed has been checked.
        "not_checked": list(check.get("not_checked") or ()) if check_mode else [],
        "reboot": bool(check.get("reboot_required")) if check_mode else bool(run["rebooted"]),
        "brought_back": run["brought_back"],
        "claim": _others_claim(claim, check),
        "label": run.get("label"),
        "driver": (check.get("mig") or {}).get("driver_version"),
        "time": run.get("time"),
    }
    if not check_mode:
        result.update(_what_was_done(result, done))
    elif refused:
        # As a run would be: nothing goes, nothing is reset.
        result.update(_what_was_done(result, []), reboot=False)
    if result["state"] == UNREACHABLE:
        result["message"] = failure_message(check)
    return result


def _planned(check, forward):
    """(steps, sentences) of a change: those of the check, or those that followed where these were others.

    Some drivers tell what a GPU can hold only once MIG is on.
    """
    plan, actions = list(check.get("plan") or ()), list(check.get("actions") or ())
    followed = [step for change in forward for step in change.get("plan") or ()]
    if all(step in plan for step in followed):
        return plan, actions
    return followed, [action for change in forward for action in change.get("actions") or ()]


def _created(done):
    """UUIDs of the MIG devices that these changes made and that are still there."""
    created = {}
    for change in done:
        for uuid in change.get("disrupted") or ():
            created.pop(uuid, None)
        for step in [*change["done"], *(change.get("undone") or ())]:
            if step.get("uuid") and step["action"] == CREATE_COMPUTE_INSTANCE:
                created[step["uuid"]] = None
            elif step.get("uuid") and step["action"] == DESTROY_COMPUTE_INSTANCE:
                created.pop(step["uuid"], None)
    return list(created)


def _layout(run, done):
    """The layout entries of what the GPUs have now, as it was read last; None where that is not known."""
    if run["brought_back"] is not None:
        last = run.get("left") or {}
    elif done:
        last = run.get("after") or {}
    else:
        last = run["check"]
    gpus = (last.get("mig") or {}).get("gpus")
    return None if gpus is None else [gpu["layout"] for gpu in gpus if gpu.get("layout")]


def _restored(run, failures):
    """The names of the hooks and units that were restored; EARLIER is among them for what another run had drained."""
    if not run.get("restores") or any(failure["stage"] == "restore" for failure in failures):
        return []
    return [*run["hooks"], *([EARLIER] if run["check"].get("drained") else [])]


def _others_claim(claim, check):
    """Whose run has the host, where that is another: what mig_claim or mig_check tells of it."""
    found = claim.get("held") or check.get("claim")
    if not isinstance(found, dict) or found.get("id") in (claim.get("change_id"), check.get("change_id")):
        return None
    return {key: found.get(key) for key in ("id", "who", "where", "stage", "since", "lapsed")}


def _state(check, failures, changed, would_change, unknown):
    if check.get("unreachable"):
        return UNREACHABLE
    if failures:
        return FAILED
    if not (check.get("evidence") or {}).get("mig_capable"):
        return NO_GPUS
    if unknown:
        return NOT_CHECKED
    if check.get("nothing_to_compare"):
        return NOTHING_TO_COMPARE
    return CHANGED if changed else WOULD_CHANGE if would_change else UNCHANGED


def _what_was_done(result, done):
    """The devices that were there and did not live through it, and what went another way than it was planned.

    A reset takes the devices of its GPU along.
    """
    disrupted = list(dict.fromkeys(uuid for change in done for uuid in change.get("disrupted") or ()))
    there = dict.fromkeys(result["kept"] + result["disrupted"])
    resets = {
        step["gpu"]["uuid"]: step["gpu"]
        for change in done
        for step in change["done"]
        if step["action"] == "reset_gpu" and step.get("needed", True)
    }
    replanned = [step for change in done for step in change.get("replanned_steps") or ()]
    return {
        "kept": [uuid for uuid in there if uuid not in disrupted],
        "disrupted": [uuid for uuid in disrupted if uuid in there],
        "replanned": bool(replanned),
        "replanned_steps": replanned,
        "reset_gpus": list(resets.values()),
    }
