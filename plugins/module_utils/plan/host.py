# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Decides for a whole host: Snapshot + layout -> (a Plan or a Refusal for each GPU that the layout names,
warnings). Pure.

Here a GPU is refused for what it is in, a mode, a driver, a lack of permission, before plan/gpu.py looks at its
instances.
"""

from __future__ import annotations

from ..errors import what_to_do
from ..layout.entries import resolve_layout
from ..layout.kept_profiles import all_known, in_words, of_today
from ..model import CREATE_GPU_INSTANCE, Blocker, Refusal
from ..profiles import named, with_names
from .geometry import allowing, geometry_of
from .gpu import plan_instances, plan_mode, plan_unseen
from .reset_groups import reset_together


def decide_instances(snapshot, entries, keep=(), rehearsing=False):
    """Decide on the GPU and compute instances that layout ``entries`` (validated) want.

    ``keep`` are MIG device UUIDs that must not go. ``rehearsing`` takes a GPU with MIG off for one that is on and
    empty, as it will be once mig_mode has run. Returns (decisions, warnings).
    """
    decisions, off, silent, renamed = _instances(snapshot, entries, keep, rehearsing)
    warnings = []
    if off:
        warnings.append(f"{_list(off)}: MIG mode is off; planned as on and empty, as it will be after mig_mode.")
    warnings += renamed + _unplanned(silent) + _limits_broken(decisions)
    return decisions, warnings + _not_there(snapshot, keep) + _problems(snapshot, decisions)


def renamings(snapshot, entries):
    """A list with one sentence about profiles that layout ``entries`` call otherwise than this driver; or []."""
    return _told([(gpu, _today(snapshot, gpu, layout)[1]) for gpu, layout in resolve_layout(entries, snapshot.gpus)])


def _told(renamed):
    return list(filter(None, [in_words(renamed)]))


def _today(snapshot, gpu, layout):
    """What of_today says of a GpuLayout. What the host remembers is read where a name is nobody's any more."""
    layout = with_names(layout, gpu.profiles)
    forgotten = gpu.profiles and not all_known(layout, gpu.profiles)
    return of_today(layout, gpu.profiles, snapshot.kept_profiles.get(gpu.uuid.lower(), ()) if forgotten else ())


def _instances(snapshot, entries, keep, rehearsing):
    """(decisions, GPUs planned as on and empty, those of which only the mode can be planned, a list with what there is
    to say about other names)."""
    decisions, off, silent, renamed = [], [], [], []
    for gpu, layout in resolve_layout(entries, _with_forecasts(snapshot.gpus)):
        if not layout.mig_enabled:
            continue
        layout, names = _today(snapshot, gpu, layout)
        renamed.append((gpu, names))
        decision = _old_driver(gpu, snapshot) or _unreadable(gpu)
        if not decision and not (gpu.mig_mode and gpu.mig_mode_pending):
            if not rehearsing:
                decision = _mode_is_off(gpu)
            elif not gpu.mig_mode:
                # Who uses it now is in the way of the mode.
                gpu = gpu._replace(mig_mode=True, mig_mode_pending=True, instances=(), processes=())
                knows_profiles = any(profile.placements for profile in gpu.profiles)
                decision = None if knows_profiles else plan_unseen(gpu, layout)
                if knows_profiles:
                    off.append(gpu)
                elif not isinstance(decision, Refusal):
                    silent.append(gpu)
        decisions.append(decision or _planned(gpu, layout, frozenset(keep)))
    return decisions, off, silent, _told(renamed)


def _with_forecasts(gpus):
    """The Gpus, each with what GPU instances of others of its model say they offer inside: as good as its own word.

    Rule: forecast of compute instances
    """
    told = {}  # (product, PCI device id, GPU instance profile id): ComputeProfiles
    for gpu in gpus:
        for profile in gpu.profiles:
            if profile.name in gpu.compute_profiles:
                told.setdefault((gpu.product, gpu.pci_device_id, profile.id), gpu.compute_profiles[profile.name])
    return tuple(gpu._replace(compute_profiles={**_told_of(gpu, told), **gpu.compute_profiles}) for gpu in gpus)


def _told_of(gpu, told):
    """What is ``told`` of a Gpu's profiles, which are told by their ids, under the names that it has for them."""
    keys = [(profile, (gpu.product, gpu.pci_device_id, profile.id)) for profile in gpu.profiles]
    return {profile.name: named(profile, told[key]) for profile, key in keys if key in told}


def _planned(gpu, layout, keep):
    """Plan one GPU's instances; where somebody is in the way, also say which layout would fit beside them."""
    decision = plan_instances(gpu, layout, keep)
    if not isinstance(decision, Refusal):
        return _unless_in_use(gpu, decision)
    if decision.kind != "busy":
        return decision
    from .refusals import with_nearest  # only where there is a refusal

    devices = [device for instance in gpu.instances for device in instance.compute_instances]
    held = [device.profile for device in devices if device.busy or device.uuid in keep]
    return with_nearest(decision, layout, held, lambda other: plan_instances(gpu, other, keep))


def _unless_in_use(gpu, plan):
    """The Plan, or a Refusal where processes on an empty GPU are in the way of its first GPU instance.

    Only those that NVML lists count. Who merely has a device file open (nvidia-persistenced and DCGM always have), and
    who cannot be read, is left to the driver: nothing is lost by asking it.
    """
    creates = any(step.action == CREATE_GPU_INSTANCE for step in plan.steps)
    if gpu.instances or not gpu.processes or not creates:
        return plan
    from .refusals import busy  # as above

    return busy(gpu, plan, (Blocker(gpu, "busy", processes=gpu.processes),))


def _unplanned(gpus):
    if not gpus:
        return []
    return [
        f"{_list(gpus)}: MIG mode is off, and this driver tells profiles only while it is on, so the instances "
        "could not be planned yet."
    ]


def _limits_broken(decisions):
    """What is on a GPU is right, whatever was told of it: limits that it breaks are none, and somebody should know."""
    gpus = [decision.gpu for decision in decisions if decision.gpu.instances]
    broken = [
        gpu
        for gpu in gpus
        if geometry_of(gpu.profiles, gpu.instances).without or allowing(gpu, gpu.instances) is not gpu
    ]
    if not broken:
        return []
    from .refusals import limits_broken

    return [limits_broken(gpu) for gpu in broken]


def _not_there(snapshot, keep):
    known = {
        device.uuid
        for gpu in snapshot.gpus
        for instance in gpu.instances or ()
        for device in instance.compute_instances
    }
    gone = [uuid for uuid in keep if uuid not in known]
    return [f"keep names MIG devices that are not there (any more): {', '.join(gone)}."] if gone else []


def _list(gpus):
    return f"GPU {', '.join(str(gpu.index) for gpu in gpus)}"


def decide_modes(snapshot, entries, reset=True, pending=False, keep=()):
    """Decide on the MIG mode that layout ``entries`` (validated) want; the other arguments are plan_mode's.

    GPUs that must be reset together are decided on together (plan/reset_groups.py).
    """
    keep = frozenset(keep)
    decisions = [
        _unreadable(gpu) or plan_mode(gpu, layout.mig_enabled, reset, pending, keep)
        for gpu, layout in resolve_layout(entries, snapshot.gpus)
    ]
    return reset_together(snapshot.gpus, decisions, pending, keep), _problems(snapshot, decisions)


def decide_layout(snapshot, entries, keep=()):
    """Decide on mode and instances together, as a rehearsal: what mig_mode and then mig_instances would do.

    One decision a GPU, with the steps of both in its plan. Returns (decisions, warnings).
    """
    modes, warnings = decide_modes(snapshot, entries, keep=keep)
    instances, _off, silent, renamed = _instances(snapshot, entries, keep, rehearsing=True)
    after = {decision.gpu.index: decision for decision in instances}
    decisions = [_joined(mode, after.get(mode.gpu.index)) for mode in modes]
    warnings += renamed + _unplanned(silent) + _limits_broken(instances)
    return decisions, warnings + _not_there(snapshot, keep)


def _joined(mode, instances):
    """The decision on a GPU's mode and the one on its instances (None where MIG is to be off) as one."""
    if instances is None:
        return mode
    refusals = [decision for decision in (mode, instances) if isinstance(decision, Refusal)]
    for refusal in refusals:
        if refusal.plan is None:
            return refusal
    first, then = (decision.plan if isinstance(decision, Refusal) else decision for decision in (mode, instances))
    if first.disrupted:
        then = _after_reset(then, first.disrupted)
    plan = then._replace(
        gpu=mode.gpu,
        steps=first.steps + then.steps,
        mig_mode=first.mig_mode,
        disrupted=first.disrupted + then.disrupted,
    )
    if not refusals:
        return plan
    return refusals[0]._replace(
        gpu=mode.gpu,
        message=" ".join(refusal.message for refusal in refusals),
        blockers=_each_once(refusals),
        plan=plan,
    )


def _after_reset(plan, gone):
    """A Plan for instances, made before a reset with peers took ``gone`` down and made them again: under new ids."""
    return plan._replace(
        steps=tuple(step._replace(uuid=None, gpu_instance_id=None, compute_instance_id=None) for step in plan.steps),
        kept=tuple(uuid for uuid in plan.kept if uuid not in gone),
        disrupted=tuple(uuid for uuid in plan.disrupted if uuid not in gone),
    )


def _each_once(refusals):
    """The Blockers of refusals of one GPU: a device may be in the way of its reset and of its instances."""
    blockers = [blocker for refusal in refusals for blocker in refusal.blockers]
    return tuple({blocker.device and blocker.device.uuid: blocker for blocker in reversed(blockers)}.values())[::-1]


def _problems(snapshot, decisions):
    """A GPU that could not be read and that the layout does not name, as far as anybody can tell, is worth a word."""
    concerned = {decision.gpu.index for decision in decisions}
    return [
        f"{gpu.name} was left alone: {gpu.problem}"
        for gpu in snapshot.gpus
        if gpu.problem and gpu.index not in concerned
    ]


def _unreadable(gpu):
    if gpu.problem:
        return Refusal(
            gpu,
            "unreadable",
            f"{gpu.name} could not be read, so nothing was changed on this host. {gpu.problem} "
            "To go on without it, name the other GPUs.",
        )
    if gpu.instances is not None:
        return None
    return Refusal(
        gpu,
        "permission",
        f"{gpu.name}: this user may not list its GPU instances, so nothing was changed. {what_to_do('permission')}",
    )


def _old_driver(gpu, snapshot):
    """R450 creates GPU instances wherever it likes, so a plan could not be kept."""
    if snapshot.places_gpu_instances:
        return None
    return Refusal(
        gpu,
        "unsupported",
        f"{gpu.name}: driver {snapshot.driver_version} cannot create a GPU instance at a given placement, "
        "so its instances are only read. Install R460 or later.",
    )


def _mode_is_off(gpu):
    if gpu.mig_mode == gpu.mig_mode_pending:
        what = "MIG mode is off"
    else:
        now, then = ("on", "off") if gpu.mig_mode else ("off", "on")
        what = f"MIG mode is {now} and will be {then} after the next reset"
    return Refusal(
        gpu,
        "mig_mode",
        f"{gpu.name}: {what}, so its instances cannot be changed. Run gpufleet.mig.mig_mode with "
        "state: enabled (or with this layout) first.",
    )
