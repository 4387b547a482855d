# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs as values for pure tests, and a port over them that executes steps, refuses illegal ones and fails on demand."""

from __future__ import annotations

import functools

import yaml
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils import model
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    ComputeInstance,
    Engines,
    Gpu,
    GpuInstance,
    Placement,
    Process,
    Profile,
    Snapshot,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import counts_in_eighths, forecast, named, part

A100, A30, H100, RTX = "A100-SXM4-40GB", "A30-24GB", "H100-SXM5-80GB", "RTX-PRO-6000-BLACKWELL-96GB"


@functools.cache
def catalogue():
    """The GPU models that the simulator knows: {name: facts}."""
    return yaml.safe_load((ROOT / "roles/mig_simulator/files/catalogue.yml").read_text())


def gpu(name, instances=(), index=0, mig=True, **more):
    """A Gpu of a model; ``instances`` are made by ``gpu_instance``."""
    facts = catalogue()[name]
    profiles = tuple(
        Profile(
            row["name"],
            row["id"],
            int(row["name"].split("g.")[0]),
            row["max"],
            row["memory_mib"],
            row["sm"],
            Engines(row["ce"], row["dec"], row["enc"], row["jpeg"], row["ofa"]),
            tuple(Placement(start, row["size"]) for start in row["starts"]),
        )
        for row in facts["profiles"]
    )
    known = {
        "index": index,
        "uuid": f"GPU-{index}",
        "pci_address": f"00000000:{index + 7:02X}:00.0",
        "product": name,
        "pci_device_id": facts["pci_device_id"],
        "minor": index,
        "memory_mib": facts["memory_total_mib"],
        "mode_needs_reset": facts["architecture"] == "ampere",
        "mig_mode": mig,
        "mig_mode_pending": mig,
        "memory_slices": facts["slices"]["memory"],
        "compute_slices": facts["slices"]["compute"],
        "profiles": profiles,
        "instances": tuple(instances),
    }
    return Gpu(**dict(known, **more))


def gpu_instance(id, profile, start, size, *inside):
    """A GpuInstance; ``inside`` are (profile, start, size, busy), by default one idle one that spans it."""
    if not inside:
        inside = ((profile, 0, int(profile.split("g.")[0]), False),)
    devices = tuple(
        ComputeInstance(
            number, name, Placement(first, slices), f"MIG-{id}-{number}", None, job(100 * id + number) if busy else ()
        )
        for number, (name, first, slices, busy) in enumerate(inside)
        if name
    )
    return GpuInstance(id, profile, Placement(start, size), devices)


def job(pid):
    """A process list with one process."""
    return (Process(pid, "python", "alice"),)


class ModelPort:
    """An NVML port over model values: executes steps as a driver does, refusing what is illegal.

    ``hooks`` maps the number of an execute call, counted from 1, to a function that gets the port and may change it
    or raise; it returns True where the call shall do nothing and say that it succeeded. With ``same_again`` what is
    made where something was when the port was opened gets its ids and UUIDs, as on real cards.

    ``tells_inside(profile)`` are the ComputeProfiles that a GPU instance of a Profile says it offers, otherwise those
    that are forecast; their names are the driver's. ``refused_inside`` are compute instance Placements that the driver
    tells and does not allow. ``forbids(gpu, profile, placement)`` is the code with which the driver refuses a GPU
    instance that would fit by all that it tells, or None; ``tells_remaining`` is false where it has no such call.
    ``activation`` is what it says of a mode, or a list of what it says in turn; REFUSED is NOT_SUPPORTED as the return
    code.
    """

    def __init__(self, *gpus, same_again=False, tells_inside=None, refused_inside=(), forbids=None):
        self.gpus = {gpu.uuid: gpu for gpu in gpus}
        self.hooks = {}
        self.executed = []
        self.calls = 0
        self.lost = set()
        self.new_uuids = 0
        self.activation = "SUCCESS"
        self.tells_inside = tells_inside
        self.refused_inside = refused_inside
        self.forbids = forbids
        self.tells_remaining = True
        self.ids = {(gpu.uuid, one.placement): one.id for gpu in gpus if same_again for one in gpu.instances}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def read(self):
        return Snapshot(gpus=tuple(map(self._as_read, self.gpus.values())), driver_version="580.95.05")

    def read_gpu(self, gpu):
        if gpu.uuid in self.lost:
            raise NvmlError("nvmlDeviceGetMigMode", "GPU_IS_LOST")
        return self._as_read(self.gpus[gpu.uuid])

    def _as_read(self, now):
        """A Gpu with what its GPU instances say they offer inside."""
        names = {instance.profile for instance in now.instances or ()}
        inside = {one.name: named(one, self._inside(now, one)) for one in now.profiles if one.name in names}
        return now._replace(compute_profiles=inside)

    def remaining(self, gpu):
        """How many more of each profile there is room for, each alone; None where the driver does not tell."""
        now = self.gpus[gpu.uuid]
        return self.tells_remaining and {
            profile.name: sum(
                legal(now, [*now.instances, GpuInstance(99, profile.name, place)])
                and not self._forbidden(now, profile, place)
                for place in profile.placements
            )
            for profile in now.profiles
        }

    def _forbidden(self, now, profile, place):
        """The code with which this driver refuses a GPU instance that would fit, or None."""
        return self.forbids and self.forbids(now, profile, place)

    def inside(self, step):
        """What the GPU instance around a step offers, its slices and what it holds."""
        now = self.gpus[step.gpu.uuid]
        instance = next((one for one in now.instances if one.placement == step.gpu_instance), None)
        if instance is None:
            raise NvmlError("nvmlDeviceGetGpuInstances", "NOT_FOUND")
        profile = next(profile for profile in now.profiles if profile.name == instance.profile)
        return named(profile, self._inside(now, profile)), profile.slices, instance.compute_instances

    def _inside(self, now, profile):
        """The compute instance profiles in a GPU instance, under the driver's own names."""
        if self.tells_inside:
            return self.tells_inside(profile)
        return forecast(profile, counts_in_eighths(now.profiles))

    def execute(self, step):
        self.calls += 1
        hook = self.hooks.get(self.calls)
        if hook and hook(self):
            return {}
        if step.gpu.uuid in self.lost:
            raise NvmlError("nvmlDeviceGetHandleByUUID", "GPU_IS_LOST")
        now = self.gpus[step.gpu.uuid]
        created, after = getattr(self, "_" + step.action)(now, step)
        self.gpus[now.uuid] = after
        self.executed.append(step)
        return created

    def start_job(self, uuid):
        """A process begins to use a MIG device."""
        for now in self.gpus.values():
            self.gpus[now.uuid] = now._replace(
                instances=tuple(
                    instance._replace(
                        compute_instances=tuple(
                            device._replace(processes=job(4711)) if device.uuid == uuid else device
                            for device in instance.compute_instances
                        )
                    )
                    for instance in now.instances
                )
            )

    def _set_mig_mode(self, now, step):
        after = now._replace(mig_mode_pending=step.mig_enabled)
        activation = self.activation if isinstance(self.activation, str) else self.activation.pop(0)
        if not now.mode_needs_reset and activation == "SUCCESS":
            if now.instances and not step.mig_enabled:
                raise NvmlError("nvmlDeviceSetMigMode", "IN_USE")
            after = after._replace(mig_mode=step.mig_enabled)
        if activation == "REFUSED":
            self.gpus[now.uuid] = after
            raise NvmlError("nvmlDeviceSetMigMode", "NOT_SUPPORTED")
        return {"activation": activation}, after

    def _reset_gpu(self, now, step):
        if self._busy(now):
            raise NvmlError("nvidia-smi --gpu-reset", "IN_USE")
        return {}, now._replace(mig_mode=now.mig_mode_pending, instances=())

    def _destroy_compute_instance(self, now, step):
        instance = self._instance(now, step.gpu_instance_id)
        device = next((device for device in instance.compute_instances if device.id == step.compute_instance_id), None)
        if device is None:
            raise NvmlError("nvmlGpuInstanceGetComputeInstanceById", "NOT_FOUND")
        if device.busy:
            raise NvmlError("nvmlComputeInstanceDestroy", "IN_USE")
        rest = tuple(other for other in instance.compute_instances if other is not device)
        return {}, self._with(now, instance, instance._replace(compute_instances=rest))

    def _destroy_gpu_instance(self, now, step):
        instance = self._instance(now, step.gpu_instance_id)
        if instance.compute_instances:
            raise NvmlError("nvmlGpuInstanceDestroy", "IN_USE")
        return {}, self._with(now, instance, None)

    def _create_gpu_instance(self, now, step):
        profile = next((profile for profile in now.profiles if profile.id == step.profile_id), None)
        if not now.mig_mode or profile is None:
            raise NvmlError("nvmlDeviceCreateGpuInstanceWithPlacement", "NOT_SUPPORTED")
        together = [*now.instances, GpuInstance(self._id(now, step.placement), profile.name, step.placement)]
        if step.placement not in profile.placements or not legal(now, together):
            raise NvmlError("nvmlDeviceCreateGpuInstanceWithPlacement", "INSUFFICIENT_RESOURCES")
        forbidden = self._forbidden(now, profile, step.placement)
        if forbidden:
            raise NvmlError("nvmlDeviceCreateGpuInstanceWithPlacement", forbidden)
        return {"gpu_instance_id": together[-1].id}, now._replace(
            instances=tuple(sorted(together, key=lambda one: one.placement))
        )

    def _create_compute_instance(self, now, step):
        instance = next((one for one in now.instances if one.placement == step.gpu_instance), None)
        if instance is None:
            raise NvmlError("nvmlDeviceGetGpuInstances", "NOT_FOUND")
        assert step.gpu_instance_id in (None, instance.id)
        profile = next(profile for profile in now.profiles if profile.name == instance.profile)
        inside = {known.id: known for known in named(profile, self._inside(now, profile))}
        made = inside.get(step.profile_id)
        function = "nvmlGpuInstanceCreateComputeInstanceWithPlacement"
        if made is None:
            raise NvmlError(function, "NOT_SUPPORTED")
        if step.placement not in made.placements or step.placement in self.refused_inside:
            raise NvmlError(function, "INVALID_ARGUMENT")
        if {slot for device in instance.compute_instances for slot in slots(device.placement)} & set(
            slots(step.placement)
        ):
            raise NvmlError(function, "IN_USE")
        wholes = [part(device.profile) or profile.slices for device in instance.compute_instances]
        alike = sum(device.profile == made.name for device in instance.compute_instances)
        if sum(wholes) + made.slices > profile.slices or alike >= (made.max or 99):
            raise NvmlError(function, "INSUFFICIENT_RESOURCES")
        number = next(id for id in range(9) if id not in {device.id for device in instance.compute_instances})
        self.new_uuids += 1
        same = instance.id in self.ids.values()
        uuid = f"MIG-{instance.id}-{number}" if same else f"MIG-new-{self.new_uuids}"
        device = ComputeInstance(number, made.name, step.placement, uuid)
        devices = tuple(sorted((*instance.compute_instances, device), key=lambda one: one.placement))
        return (
            {"gpu_instance_id": instance.id, "compute_instance_id": number, "uuid": device.uuid},
            self._with(now, instance, instance._replace(compute_instances=devices)),
        )

    @staticmethod
    def _busy(now):
        return now.processes or any(device.busy for one in now.instances for device in one.compute_instances)

    def _id(self, now, placement):
        taken = {one.id for one in now.instances} | set(self.ids.values())
        return self.ids.get((now.uuid, placement)) or next(id for id in range(1, 99) if id not in taken)

    @staticmethod
    def _instance(now, id):
        instance = next((one for one in now.instances if one.id == id), None)
        if instance is None:
            raise NvmlError("nvmlDeviceGetGpuInstanceById", "NOT_FOUND")
        return instance

    @staticmethod
    def _with(now, old, new):
        return now._replace(
            instances=tuple(one for one in (new if one is old else one for one in now.instances) if one)
        )


def slots(placement):
    return range(placement.start, placement.start + placement.size)


def legal(gpu, instances):
    """Whether GPU instances may be on a GPU together, written without plan/geometry.py."""
    profiles = {profile.name: profile for profile in gpu.profiles}
    taken = [slot for one in instances for slot in slots(one.placement)]
    whole = max(gpu.profiles, key=lambda profile: (profile.placements[0].size, profile.engines[1:]))
    held = [sum(profiles[one.profile].engines[kind] for one in instances) for kind in range(1, 5)]
    return (
        len(taken) == len(set(taken))
        and all(sum(one.profile == name for one in instances) <= profile.max for name, profile in profiles.items())
        and all(count <= most for count, most in zip(held, whole.engines[1:], strict=False))
    )


def fail(code, function="nvmlFunction"):
    """A hook that fails a step with a return code."""

    def hook(port):
        raise NvmlError(function, code)

    return hook


def lie(port):
    """A hook by which a step does nothing and says that it succeeded."""
    return True


__all__ = [
    "A30",
    "A100",
    "H100",
    "RTX",
    "ModelPort",
    "catalogue",
    "fail",
    "gpu",
    "gpu_instance",
    "job",
    "legal",
    "lie",
    "model",
    "slots",
]
