# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a Snapshot is read from NVML: the order and the protocols of the calls, which go through a Session."""

from __future__ import annotations

from ctypes import byref, c_uint

from ..errors import NvmlError
from ..host.processes import describe
from ..model import ComputeInstance, ComputeProfile, Engines, Gpu, GpuInstance, Placement, Profile, Snapshot
from ..profiles import distinct, forecast, inner, named, of_attributes, outer, part
from ..visible import visible

GATHER = ("profiles", "instances", "processes")
RESET_PEERS = "reset_peers"
REMAINING = "remaining"  # how many more the driver has room for: a call for each profile, for whoever shows it
GATHER_FOR_RESET = (*GATHER, RESET_PEERS)  # where a GPU may be reset
# What NVML may keep from a caller, in the order in which Snapshot.incomplete names it.
WITHHELD = ("memory", "profiles", "placements", "orphans", "instance_profiles", "free", "processes")
AMPERE = 7  # NVML_DEVICE_ARCH_AMPERE, the last one whose MIG mode changes by a reset
PROFILE_INDEXES = (
    64  # far beyond NVML_GPU_INSTANCE_PROFILE_COUNT, 0x12 in the newest header; the device ends the listing
)
# Of those indexes, how many nvml.h has (NVML_GPU_INSTANCE_PROFILE_COUNT and NVML_COMPUTE_INSTANCE_PROFILE_COUNT).
KNOWN_INDEXES = {"nvmlDeviceGetGpuInstanceProfileInfo": 18, "nvmlGpuInstanceGetComputeInstanceProfileInfo": 9}
PLACEMENTS = 64  # far beyond the placements of a profile, at most one a memory slice
INSTANCES = 64  # far beyond the instances of a profile; how many it allows bounds no array
MOST = 4096  # of what a driver counts: it may say any number, and arrays and loops are made of it
# What nvmlDeviceGetMigMode returns on a GPU without MIG, and on a driver without it.
WITHOUT_MIG = ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND")
GONE = ("NOT_FOUND", "INVALID_ARGUMENT")  # of a handle whose instance or MIG device is not there any more
SHARED = 0  # NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, the only one there is
# What NVML_GPU_INSTANCE_PROFILE_* of nvml.h say where a driver tells no names: {1,2}_SLICE_REV1, {1,2,4}_SLICE_GFX,
# {1,2}_SLICE_NO_ME, {1,2}_SLICE_ALL_ME, 3_SLICE_GFX.
SUFFIXES = {
    7: "+me",
    8: "+me",
    10: "+gfx",
    11: "+gfx",
    12: "+gfx",
    13: "-me",
    14: "-me",
    15: "+me.all",
    16: "+me.all",
    17: "+gfx",
}
PROCESS_LISTS = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
)


class Reader:
    """Reads GPUs through ``nvml`` (a Session); lives as long as the handles do and remembers what cannot change."""

    def __init__(self, nvml):
        self._nvml = nvml
        self._handles = {}  # GPU UUID: handle
        self._tables = {}  # (GPU UUID, MIG mode): tuple of Profile
        self._compute_tables = {}  # (GPU UUID, GPU instance profile id): tuple of ComputeProfile
        self._info_version = 2
        self._withheld = set()
        self._gone = False  # whether a MIG device was not there (any more) when it was asked

    def snapshot(self, gather, only):
        """Session.read."""
        call = self._nvml.call
        self._withheld.clear()
        driver = call("nvmlSystemGetDriverVersion")
        nvml = call("nvmlSystemGetNVMLVersion")
        cuda = self._optional("nvmlSystemGetCudaDriverVersion_v2")
        gpus = tuple(self._identify(index) for index in range(call("nvmlDeviceGetCount")))
        reason = None if gpus else f"The NVIDIA driver {driver} finds no GPU."
        if RESET_PEERS in gather:
            from .reset_peers import with_reset_peers

            gpus = with_reset_peers(self._nvml, self._handles, gpus)
        if only is not None:
            gpus = only(gpus)
        gpus = tuple(self._detailed_or_problem(gpu, gather) for gpu in gpus)
        return Snapshot(
            gpus=gpus,
            driver_version=driver,
            nvml_version=nvml,
            cuda_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            incomplete=tuple(name for name in WITHHELD if name in self._withheld),
            reason=reason,
            places_gpu_instances=self._nvml.places_gpu_instances,
            places_compute_instances=self._nvml.places_compute_instances,
        )

    def gpu(self, gpu):
        """Session.read_gpu."""
        handle = self.handle(gpu)
        mode, pending = self._mig_mode(handle)
        minor = self._optional("nvmlDeviceGetMinorNumber", handle)
        fresh = gpu._replace(mig_mode=mode, mig_mode_pending=pending, minor=minor, problem=None, problem_code=None)
        return self._settled(fresh, GATHER)

    def handle(self, gpu):
        """The handle of a GPU, which may have another index by now."""
        if gpu.uuid not in self._handles:
            self._handles[gpu.uuid] = self._nvml.call("nvmlDeviceGetHandleByUUID", gpu.uuid)
        return self._handles[gpu.uuid]

    def _optional(self, function, *arguments):
        """What a function returns, or None where this device or driver has no answer, or none for this caller."""
        try:
            return self._nvml.call(function, *arguments)
        except NvmlError as error:
            if error.kind not in ("unsupported", "permission"):
                raise
            return None

    def _identify(self, index):
        """The Gpu at an index with what names it and its MIG mode, or with its problem.

        A handle and a UUID are enough: an integrated GPU, for one, may have no PCI address and no minor number.
        """
        call = self._nvml.call
        known = {}
        try:
            handle = call("nvmlDeviceGetHandleByIndex", index)
            known["uuid"] = call("nvmlDeviceGetUUID", handle)
            if not known["uuid"]:
                raise NvmlError("nvmlDeviceGetUUID", "NOT_FOUND", "nvmlDeviceGetUUID told no UUID.")
            self._handles[known["uuid"]] = handle
            pci = self._optional("nvmlDeviceGetPciInfo", handle)
            if pci is not None:
                known["pci_address"] = text(pci.busId)
                known["pci_device_id"] = pci.pciDeviceId
            known["product"] = self._optional("nvmlDeviceGetName", handle) or ""
            known["minor"] = self._optional("nvmlDeviceGetMinorNumber", handle)
            memory = self._optional("nvmlDeviceGetMemoryInfo", handle)
            if memory is None:
                self._withheld.add("memory")
            else:
                known["memory_mib"] = memory.total // (1024 * 1024)
            mode, pending = self._mig_mode(handle)
            if mode is not None:
                architecture = self._optional("nvmlDeviceGetArchitecture", handle)
                known["mode_needs_reset"] = needs_reset(architecture)
                known["mig_mode"], known["mig_mode_pending"] = mode, pending
        except NvmlError as error:
            return Gpu(index, problem=str(error), problem_code=error.code, **known)
        return Gpu(index, **known)

    def _mig_mode(self, handle):
        """(current, pending) as bools, or (None, None) on a GPU or driver without MIG.

        A GPU without MIG counts as one with MIG off, so that this answer is believed only when it is given twice.
        """
        for _attempt in range(2):
            try:
                current, pending = self._nvml.call("nvmlDeviceGetMigMode", handle)
            except NvmlError as error:
                if error.code not in WITHOUT_MIG:
                    raise
            else:
                return bool(current), bool(pending)
        return None, None

    def _detailed_or_problem(self, gpu, gather):
        if gpu.problem:
            return gpu
        try:
            return self._settled(gpu, gather)
        except NvmlError as error:
            return gpu._replace(problem=str(error), problem_code=error.code)

    def _settled(self, gpu, gather):
        """_detailed; once more where a MIG device or instance went away while it was read.

        Rule: codes of NVML
        """
        withheld, self._gone = set(self._withheld), False
        try:
            found = self._detailed(gpu, gather)
            if not self._gone:
                return found
        except NvmlError as error:
            if error.code not in GONE:
                raise
        self._withheld = withheld
        return self._detailed(gpu, gather)

    def _detailed(self, gpu, gather):
        """The identified Gpu with its profiles, instances and processes as far as they are asked for.

        Rule: who is busy
        """
        handle = self._handles[gpu.uuid]
        wants_processes = "processes" in gather
        facts = {"profiles": (), "compute_profiles": {}, "instances": (), "visible_instances": (), "processes": ()}
        if gpu.mig_mode and ("instances" in gather or wants_processes):
            devices = self._mig_devices(handle)
            try:
                facts["instances"] = self._agreeing_instances(gpu, devices, wants_processes)
                facts["compute_profiles"] = self._compute_profiles(gpu, facts["instances"])
                facts["remaining"] = self._remaining_or_none(gpu) if REMAINING in gather else None
            except NvmlError as error:
                if error.kind != "permission":
                    raise
                self._withheld.update(("placements", "orphans", "free"))
                facts["instances"] = None
                facts["visible_instances"] = self._visible_instances(gpu, devices, wants_processes)
        if wants_processes and (not gpu.mig_mode or facts["instances"] == ()):
            # With MIG on nobody computes on the GPU itself, and whoever does all the same (an X server, a profiler)
            # keeps it from its first GPU instance.
            facts["processes"] = self._processes(handle)
        if gpu.mig_capable and gather:
            profiles = self._table(gpu, gpu.mig_mode)
            facts["profiles"] = profiles
            facts["memory_slices"], facts["compute_slices"] = slices_of(profiles)
        return gpu._replace(**facts)

    # GPU instance profiles

    def _table(self, gpu, mig_mode):
        """All Profiles of a GPU, asked for once; what the driver answers may depend on the MIG mode."""
        key = (gpu.uuid, mig_mode)
        if key not in self._tables:
            self._tables[key] = distinct(tuple(self._profiles(gpu)))
        return self._tables[key]

    def _profiles(self, gpu):
        """Yield the Profiles of a GPU; a driver without names gets those that its indexes and sizes make.

        Rule: names on old drivers
        """
        handle = self.handle(gpu)
        for index, info in self._infos("nvmlDeviceGetGpuInstanceProfileInfo", handle):
            if self._info_version == 2:
                name = profile_name(info)
            elif not gpu.memory_mib:
                self._withheld.add("profiles")
                return
            else:
                name = profile_name_by_rule(info.sliceCount, info.memorySizeMB, gpu.memory_mib, SUFFIXES.get(index, ""))
            yield Profile(
                name,
                info.id,
                info.sliceCount,
                info.instanceCount,
                info.memorySizeMB,
                info.multiprocessorCount,
                Engines(info.copyEngineCount, info.decoderCount, info.encoderCount, info.jpegCount, info.ofaCount),
                self._placements(handle, info.id),
            )

    def remaining(self, gpu):
        """Session.remaining."""
        function = "nvmlDeviceGetGpuInstanceRemainingCapacity"
        left = {one.name: self._optional(function, self.handle(gpu), one.id) for one in self._table(gpu, True)}
        return None if None in left.values() else left

    def _remaining_or_none(self, gpu):
        """What is told beside our own count is not worth a failure."""
        try:
            return self.remaining(gpu)
        except NvmlError as error:
            if error.kind == "lost":
                raise
            return None

    def _infos(self, function, handle, *arguments):
        """Yield (index, info) of all profiles that a device offers.

        Indexes are tried one by one: NOT_SUPPORTED means that this device lacks the profile, and so does
        INVALID_ARGUMENT of one that nvml.h has; of another it means that the driver knows no further ones. A driver
        without versioned info is asked for version 1, which has no names.

        Rule: end of a listing
        """
        for index in range(PROFILE_INDEXES):
            try:
                info = self._profile_info(function, handle, index, *arguments)
            except NvmlError as error:
                if error.code not in ("NOT_SUPPORTED", "INVALID_ARGUMENT"):
                    raise
                if error.code == "INVALID_ARGUMENT" and index >= KNOWN_INDEXES[function]:
                    return
                continue
            yield index, info

    def _profile_info(self, function, *arguments):
        if self._info_version == 2:
            try:
                return self._nvml.call(function, *arguments)
            except NvmlError as error:
                if error.code not in ("FUNCTION_NOT_FOUND", "ARGUMENT_VERSION_MISMATCH"):
                    raise
                self._info_version = 1
        return self._nvml.call(function, *arguments, 1)

    def _placements(self, handle, profile_id):
        """All placements of a GPU instance profile, whether taken or not; () where the driver does not tell."""
        function = "nvmlDeviceGetGpuInstancePossiblePlacements"
        kind = self._nvml.ctype("c_nvmlGpuInstancePlacement_t")
        try:
            if self._nvml.has(function + "_v2"):
                return self._listed_placements(function, kind, handle, profile_id)
            # Before R470 the count could not be asked for; whether the library looks at it on the way in is not said.
            array = (kind * PLACEMENTS)()
            count = c_uint(PLACEMENTS)
            self._nvml.call_raw(function, handle, c_uint(profile_id), array, byref(count))
            return as_placements(array, count)
        except NvmlError as error:
            if error.kind == "permission":
                self._withheld.update(("placements", "free"))
            elif error.kind != "unsupported":
                raise
            return ()

    def _listed_placements(self, function, kind, handle, profile_id):
        """Placements from a function that answers a NULL array with SUCCESS and the count."""
        count = c_uint()
        self._nvml.call(function, handle, profile_id, None, byref(count))
        count.value = min(count.value, MOST)
        array = (kind * count.value)()
        if count.value:
            self._nvml.call(function, handle, profile_id, array, byref(count))
        return as_placements(array, count)

    # Instances

    def gpu_instances(self, gpu):
        """Yield (handle, info, Profile) of every GPU instance, with or without compute instances; MIG must be on.

        Its profile is the one that its own info names; one that two profiles list is one. A profile that the driver
        does not tell of has its id as its name, and nothing else is known of it.
        """
        kind = self._nvml.ctype("c_nvmlGpuInstance_t")
        profiles = {profile.id: profile for profile in self._table(gpu, True)}
        seen = set()
        for listing in profiles.values():
            for instance in self._listed("nvmlDeviceGetGpuInstances", kind, self.handle(gpu), listing.id, listing.max):
                info = self._nvml.call("nvmlGpuInstanceGetInfo", instance)
                if info.id not in seen:
                    seen.add(info.id)
                    yield instance, info, profiles.get(info.profileId) or untold(info.profileId)

    def _listed(self, function, kind, parent, profile_id, most):
        """The handles that a list function gives; the count is output only, so the array has room for many."""
        count, array = c_uint(), (kind * min(max(most or 0, INSTANCES), MOST))()
        self._nvml.call(function, parent, profile_id, array, byref(count))
        return array[: count.value]

    def _agreeing_instances(self, gpu, devices, wants_processes):
        """All GpuInstances; one that is not listed would be taken for free slices, so each MIG device must be in one.

        Where they disagree, something else may just be changing the GPU, or the driver did not tell of a profile: all
        is asked for once more.
        """
        instances = self._instances(gpu, devices, wants_processes)
        if unlisted(devices, instances):
            for tables in (self._tables, self._compute_tables):
                for key in [key for key in tables if key[0] == gpu.uuid]:
                    del tables[key]
            devices = self._mig_devices(self.handle(gpu))
            instances = self._instances(gpu, devices, wants_processes)
        for uuid in unlisted(devices, instances):
            problem = f"The driver does not list the compute instance of the MIG device {uuid}."
            raise NvmlError("nvmlGpuInstanceGetComputeInstances", "UNKNOWN", problem)
        return instances

    def _instances(self, gpu, devices, wants_processes):
        found = []
        for handle, info, profile in self.gpu_instances(gpu):
            inside = self._compute_instances(gpu, handle, info.id, profile, devices, wants_processes)
            found.append(GpuInstance(info.id, profile.name, as_placement(info.placement), inside, profile.id))
        return tuple(sorted(found, key=lambda instance: instance.placement))

    def _compute_instances(self, gpu, gpu_instance, gpu_instance_id, profile, devices, wants_processes):
        kind = self._nvml.ctype("c_nvmlComputeInstance_t")
        profiles = {known.id: known for known in self._compute_table(gpu, gpu_instance, profile)}
        found, seen = [], set()
        for listing in profiles.values():
            function = "nvmlGpuInstanceGetComputeInstances"
            for instance in self._listed(function, kind, gpu_instance, listing.id, listing.max):
                info = self.compute_instance_info(instance)
                if info.id in seen:
                    continue
                seen.add(info.id)
                device, uuid, index = devices.get((gpu_instance_id, info.id), (None, None, None))
                self._gone |= device is None
                processes = ()
                if wants_processes:
                    processes = self._processes(device) if device else None
                placement = as_placement(info.placement) if info.placement.size else None
                memory = self._device_memory(device)
                of = profiles.get(info.profileId, listing)
                found.append(
                    ComputeInstance(
                        info.id, of.name, placement, uuid, index, processes, memory_mib=memory, told=of.told
                    )
                )
        return tuple(sorted(found, key=lambda instance: (instance.placement or (), instance.id)))

    def compute_instance_info(self, instance):
        """The info of a compute instance; R450 leaves its placement empty."""
        if self._nvml.has("nvmlComputeInstanceGetInfo_v2"):
            return self._nvml.call("nvmlComputeInstanceGetInfo_v2", instance)
        info = self._nvml.ctype("c_nvmlComputeInstanceInfo_t")()
        self._nvml.call_raw("nvmlComputeInstanceGetInfo", instance, byref(info))
        return info

    def _compute_table(self, gpu, gpu_instance, profile):
        """What such a GPU instance offers, asked for once: a tuple of ComputeProfile."""
        key = (gpu.uuid, profile.id)
        if key not in self._compute_tables:
            self._compute_tables[key] = named(profile, tuple(self._compute_infos(gpu_instance, profile)))
        return self._compute_tables[key]

    def inside(self, gpu, gpu_instance):
        """Session.inside: asked anew, whatever another GPU instance of the profile has said."""
        info = self._nvml.call("nvmlGpuInstanceGetInfo", gpu_instance)
        profile = next((one for one in self._table(gpu, True) if one.id == info.profileId), None)
        if profile is None:
            text = f"{gpu.name} has a GPU instance of profile {info.profileId}, which the driver does not list."
            raise NvmlError("nvmlGpuInstanceGetInfo", "UNKNOWN", text)
        self._compute_tables.pop((gpu.uuid, profile.id), None)
        held = self._compute_instances(gpu, gpu_instance, info.id, profile, {}, False)
        return self._compute_tables[gpu.uuid, profile.id], profile.slices, held

    def _compute_infos(self, gpu_instance, profile):
        """Yield the ComputeProfiles that a GPU instance says it offers; before R525 it tells no placements.

        Rule: forecast of compute instances
        """
        by_rule = {known.slices: known.placements for known in forecast(profile)}  # R450 to R520, and none in eighths
        function = "nvmlGpuInstanceGetComputeInstancePossiblePlacements"
        tells_placements = self._nvml.has(function)
        kind = self._nvml.ctype("c_nvmlComputeInstancePlacement_t")
        for _index, info in self._infos("nvmlGpuInstanceGetComputeInstanceProfileInfo", gpu_instance, SHARED):
            if tells_placements:
                placements = self._listed_placements(function, kind, gpu_instance, info.id)
            else:
                placements = by_rule.get(info.sliceCount, ())
            told = profile_name(info) if self._info_version == 2 else None
            yield ComputeProfile("", info.id, info.sliceCount, placements, info.instanceCount, told)

    def _compute_profiles(self, gpu, instances):
        return {one.profile: self._compute_tables[gpu.uuid, one.profile_id] for one in instances}

    # MIG devices and processes

    def _mig_devices(self, handle):
        """{(GPU instance id, compute instance id): (handle, UUID, index)}; MIG device indexes may have holes."""
        call = self._nvml.call
        found = {}
        for index in range(min(call("nvmlDeviceGetMaxMigDeviceCount", handle), MOST)):
            try:
                device = call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
                ids = call("nvmlDeviceGetGpuInstanceId", device), call("nvmlDeviceGetComputeInstanceId", device)
                found[ids] = device, call("nvmlDeviceGetUUID", device), index
            except NvmlError as error:
                if error.kind != "not_found":
                    raise
        return found

    def uuid_of(self, handle, gpu_instance_id, compute_instance_id):
        """The UUID of a compute instance's MIG device, None where there is none."""
        return self._mig_devices(handle).get((gpu_instance_id, compute_instance_id), (None, None))[1]

    def _visible_instances(self, gpu, devices, wants_processes):
        """GpuInstances as far as their MIG devices tell: the name of one ends in ``MIG <profile>``."""
        profiles, found = self._table(gpu, gpu.mig_mode), {}
        for (gpu_instance_id, identity), (device, uuid, index) in devices.items():
            told = text(self._nvml.call("nvmlDeviceGetName", device)).rpartition("MIG ")[2]
            attributes = self._attributes(device)
            fitting = of_attributes(profiles, *_of_gpu_instance(attributes), outer(told)) if attributes else ()
            if len(fitting) > 1:
                self._withheld.add("instance_profiles")
            known = fitting[0] if len(fitting) == 1 else None
            whole = known.name if known else outer(told)
            inside = ComputeInstance(
                identity,
                inner(part(told), whole),
                None,
                uuid,
                index,
                self._processes(device) if wants_processes else (),
                memory_mib=attributes and attributes.memorySizeMB,
                told=told,
            )
            instance = found.setdefault(
                gpu_instance_id, GpuInstance(gpu_instance_id, whole, None, (), known and known.id)
            )
            found[gpu_instance_id] = instance._replace(compute_instances=(*instance.compute_instances, inside))
        return tuple(found.values())

    def _device_memory(self, device):
        """The MiB in the attributes of a MIG device; None where there is no device, or no answer (R450)."""
        attributes = device and self._attributes(device)
        return attributes and attributes.memorySizeMB

    def _attributes(self, device):
        """What a MIG device has, None where the driver does not answer."""
        try:
            return self._nvml.call("nvmlDeviceGetAttributes_v2", device)
        except NvmlError as error:
            if error.kind == "lost":
                raise
            self._gone |= error.code in GONE
            return None

    def _processes(self, handle):
        """The Processes of a GPU or MIG device, None where they cannot be read (which is not the same as none).

        Rule: who is busy
        """
        pids = set()
        for function in PROCESS_LISTS:
            version = "_v3" if self._nvml.has(function + "_v3") else "_v2"  # v3 from R510 on
            try:
                pids.update(process.pid for process in self._nvml.call(function + version, handle))
            except NvmlError as error:
                if error.kind == "lost":
                    raise
                if error.kind == "unsupported" and function != PROCESS_LISTS[0]:
                    continue
                self._gone |= error.code in GONE
                self._withheld.add("processes")
                return None
        return tuple(describe(pid) for pid in sorted(pids))


def needs_reset(architecture):
    """Whether a GPU of an architecture, None untold, is expected to need a reset for another MIG mode.

    Rule: reset by architecture
    """
    return architecture is None or architecture <= AMPERE


def slices_of(profiles):
    """(memory slices, compute slices) of a GPU with these Profiles, 0 where they do not tell.

    Rule: slices of a GPU
    """
    ends = (place.start + place.size for profile in profiles for place in profile.placements)
    return max(ends, default=0), max((profile.slices for profile in profiles), default=0)


def unlisted(devices, instances):
    """The UUIDs of those MIG devices whose compute instance is in none of the GpuInstances."""
    listed = {(instance.id, device.id) for instance in instances for device in instance.compute_instances}
    return [uuid for ids, (_device, uuid, _index) in devices.items() if ids not in listed]


def untold(profile_id):
    """The Profile of a GPU instance of which the driver tells the id of its profile and nothing else."""
    return Profile(str(profile_id), profile_id, 0, 0, 0, 0, Engines(), ())


def _of_gpu_instance(attributes):
    """(compute slices, MiB, Engines) of the GPU instance, by the attributes of a MIG device in it."""
    return (
        attributes.gpuInstanceSliceCount,
        attributes.memorySizeMB,
        Engines(
            attributes.sharedCopyEngineCount,
            attributes.sharedDecoderCount,
            attributes.sharedEncoderCount,
            attributes.sharedJpegCount,
            attributes.sharedOfaCount,
        ),
    )


def text(value):
    """A string of NVML as it is shown; pynvml returns those in structs as bytes."""
    return visible(value.decode(errors="replace") if isinstance(value, bytes) else value)


def as_placement(placement):
    """A placement struct of NVML as a Placement."""
    return Placement(placement.start, placement.size)


def as_placements(array, count):
    """The first ``count`` placement structs of an array as Placements, lowest start first."""
    return tuple(sorted(as_placement(placement) for placement in array[: count.value]))


def profile_name(info):
    """The name in a versioned profile info, which reads ``MIG 1g.5gb``."""
    return text(info.name).replace("MIG ", "", 1)


def profile_name_by_rule(slices, memory_mib, total_mib, suffix=""):
    """The name of a profile for which the driver has none: ``1g.5gb``.

    The size in a name is the profile's share of the memory, rounded up to eighths, times the GPU's memory in GiB,
    rounded up (as NVIDIA's go-nvlib names them).

    Rule: names on old drivers
    """
    eighths = -(-8 * memory_mib // total_mib)
    gigabytes = int(eighths * -(-total_mib // 1024) / 8 + 0.5)
    return f"{slices}g.{gigabytes}gb{suffix}"
