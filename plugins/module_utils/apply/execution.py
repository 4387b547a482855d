# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Executing the steps of a plan on an NVML port, and reading a GPU again after it."""

from __future__ import annotations

import time

from ..errors import NvmlError
from ..layout.written import place_in_words
from ..model import (
    CREATE_COMPUTE_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
)
from ..plan.gpu import plan_inside
from .outcome import Done

# A GPU instance may still be IN_USE for a moment after its compute instance went, and a MIG mode is not activated while
# Fabric Manager starts (both seen on hardware); nothing else is retried.
BUSY_AFTER_DESTROY_SECONDS = 15
POLL_SECONDS = 0.2
ACTIVATION_SECONDS = 120
ACTIVATION_POLL_SECONDS = 2
# By these a driver says of a place that it is not to be had (kernel_mig_manager.c of NVIDIA's open kernel modules).
PLACE_REFUSED = ("IN_USE", "INVALID_ARGUMENT", "INSUFFICIENT_RESOURCES")


class Execution:
    """Executes ``steps`` of one or more plans in their order, each once; ``done`` are the Dones so far.

    What goes into a new GPU instance was forecast. Once it is there it is asked what it offers, and all of its compute
    instances are planned inside it by what it says. So they are where it refuses a place.

    Rule: codes that mean a place is taken
    """

    def __init__(self, port, steps):
        self._port = port
        self._steps = steps
        self._planned = {}  # id(step): Step
        self._refused = {}  # (GPU UUID, GPU instance Placement): set of (profile id, Placement)
        self.done = []

    def execute(self, step):
        """Execute the next step; returns its Done. Raises NvmlError."""
        done = self._execute_inside(step) if step.action == CREATE_COMPUTE_INSTANCE else self._execute(step, step)
        self.done.append(done)
        return done

    def _execute(self, step, planned):
        """Execute a step as it was ``planned`` in the end: its Done."""
        created = execute(self._port, planned, self.done)
        place = created.get("placement", planned.placement)  # the driver's own choice, where it takes none
        created = {key: value for key, value in created.items() if key != "placement"}
        same = (planned.profile_id, place) == (step.profile_id, step.placement)
        # Where it was not forecast and is where it was planned, the step says it all.
        return Done(step, created, place if step.forecast or not same else None, not same)

    def _execute_inside(self, step):
        """Create a compute instance. A place that the driver refuses is left out and the rest planned again.

        Each refusal takes one place away, so this ends; without any plan left the driver's own word stands.
        """
        refused = self._refused.setdefault((step.gpu.uuid, step.gpu_instance), set())
        if step.forecast and id(step) not in self._planned:
            problem = self._plan(step, refused)
            if problem:
                raise problem
        while True:
            planned = self._planned.get(id(step), step)
            try:
                return self._execute(step, planned)
            except NvmlError as error:
                where = (planned.profile_id, planned.placement)
                if error.code not in PLACE_REFUSED or where in refused:
                    raise
                refused.add(where)
                if self._plan(step, refused):
                    raise

    def _plan(self, step, refused):
        """Plan what is still to be made in the GPU instance of a step; returns an NvmlError where it cannot be."""
        offered, slices, there = self._port.inside(step)
        made = {id(one.step) for one in self.done}
        rest = [
            one
            for one in self._steps
            if one.action == CREATE_COMPUTE_INSTANCE
            and (one.gpu.uuid, one.gpu_instance) == (step.gpu.uuid, step.gpu_instance)
            and id(one) not in made
        ]
        planned = plan_inside(rest, offered, slices, there, refused)
        if planned is None:
            return _not_offered(rest, offered)
        self._planned.update((id(one), new) for one, new in zip(rest, planned))
        return None


def _not_offered(steps, offered):
    wanted = " + ".join(place_in_words(step) for step in sorted(steps, key=_by_profile))
    text = f"The GPU instance has no place for {wanted}; it offers {offers(offered)}."
    return NvmlError("nvmlGpuInstanceGetComputeInstancePossiblePlacements", "NOT_SUPPORTED", text)


def offers(compute_profiles):
    """ComputeProfiles and where they may start, in words."""
    found = [one for one in compute_profiles if one.placements]
    names = (f"{one.name} at {' or '.join(str(place.start) for place in one.placements)}" for one in found)
    return ", ".join(names) or "nothing"


def _by_profile(step):
    return step.profile, step.placement


def execute(port, step, done):
    """Execute a step; one reset serves all peers, so where ``done`` has it, it is not done again.

    A GPU instance whose compute instance this run has just destroyed may be busy for a moment.

    Rule: busy just after a destruction
    """
    for one in done:
        if step.peers and one.step.action == RESET_GPU:
            return one.created
    if step.action == SET_MIG_MODE:
        return _set_mig_mode(port, step)
    emptied = any(
        one.step.action == DESTROY_COMPUTE_INSTANCE and one.step.gpu_instance_id == step.gpu_instance_id for one in done
    )
    deadline = time.monotonic() + BUSY_AFTER_DESTROY_SECONDS
    while True:
        try:
            return port.execute(step)
        except NvmlError as error:
            retry = error.kind == "busy" and step.action == DESTROY_GPU_INSTANCE and emptied
            if not retry or time.monotonic() >= deadline:
                raise
        time.sleep(POLL_SECONDS)


def _set_mig_mode(port, step):
    """Execute a set_mig_mode step; while the activation times out, again up to a deadline.

    Some drivers answer NOT_SUPPORTED, as the call's own return code too, where the mode is set and they cannot activate
    it (an A100 in pass-through). What the mode reads then decides.

    Rule: a mode that is not active yet
    """
    deadline = time.monotonic() + ACTIVATION_SECONDS
    while True:
        try:
            created = port.execute(step)
        except NvmlError as error:
            if error.code != "NOT_SUPPORTED":
                raise
            now, _why = reread(port, step.gpu)
            # A GPU that cannot be read any more may have it: this counts as done, and what follows fails and says why.
            if now and now.mig_mode_pending != step.mig_enabled:
                raise
            return {"activation": error.code}
        if created.get("activation") != "TIMEOUT" or time.monotonic() >= deadline:
            return created
        time.sleep(ACTIVATION_POLL_SECONDS)


def reread(port, gpu):
    """(Gpu, None), or (None, the NvmlError) where it could not be read."""
    try:
        return port.read_gpu(gpu), None
    except NvmlError as error:
        return None, error


def done_on(gpu, done):
    """Those of the Dones that are one GPU's."""
    return tuple(one for one in done if one.step.gpu.uuid == gpu.uuid)
