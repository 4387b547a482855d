# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Judges whether a host can do what a layout asks of it: HostEvidence + Snapshot + layout -> Findings. Pure.

A finding is an error where the layout cannot work, or not as asked for; a warning where it works and somebody should
know something first.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from ..driver_releases import (
    CONTAINER_TOOLKIT,
    PLACES_COMPUTE_INSTANCES,
    PLACES_GPU_INSTANCES,
    is_older,
    model_of,
    vbios_of_compute_mode,
)
from ..errors import BindingMissing, LibraryMissing, kind_of, what_to_do
from ..model import Gpu, GpuState
from ..profiles import outer
from ..results.data import gpu_data, mode_word

ERROR, WARNING = "error", "warning"
PASSED_ON = "vfio-pci"
NO_DRIVER = ("DRIVER_NOT_LOADED", "GPU_NOT_FOUND")  # what NVML answers on a host without a GPU, too
INSTALL = "Install it from the distribution or from NVIDIA's repository, then reboot or reload the kernel modules."
RELOAD = (
    "Stop what uses the GPUs and reload the kernel modules (modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia, "
    "then modprobe nvidia), or reboot."
)


class Finding(NamedTuple):
    """One thing that is not as it should be, in sentences: what was found, what is needed and how to get it.

    ``gpu`` is the Gpu concerned, None where it is the host.
    """

    check: str
    severity: str
    gpu: Optional[Gpu]
    found: str
    needed: str
    remedy: str

    @property
    def message(self):
        """All of it for an operator."""
        subject = f"{_name(self.gpu)}: " if self.gpu else ""
        return f"{subject}{self.found} {self.needed} {self.remedy}"


def finding_data(finding):
    """A Finding as plain data."""
    return dict(finding._asdict(), gpu=finding.gpu and gpu_data(finding.gpu), message=finding.message)


def check_without_nvml(evidence, problem, library_version=None):
    """The Findings of a host whose NVML could not be opened.

    ``problem`` is the MigError, ``library_version`` that of the NVML library, if known. A host without an NVIDIA GPU
    has none: there is nothing to do.
    """
    code = getattr(problem, "code", None)
    if code == "LIB_RM_VERSION_MISMATCH":
        return [
            Finding(
                "nvml_version",
                ERROR,
                None,
                f"The loaded NVIDIA kernel module is version {evidence.kernel_module or 'unknown'}, the NVML library "
                f"is version {library_version or 'unknown'}.",
                "Both must be of the same version.",
                f"Most often an upgrade replaced the library under the loaded module. {RELOAD} Hold the driver's "
                "packages back from unattended upgrades.",
            )
        ]
    if not evidence.nvidia_devices:
        if isinstance(problem, (BindingMissing, LibraryMissing)) or code in NO_DRIVER:
            return []
        needed = "NVML must open to tell whether there are GPUs."
        return [Finding("nvml", ERROR, None, str(problem), needed, RELOAD)]
    if isinstance(problem, BindingMissing):
        return [
            Finding(
                "nvidia_ml_py",
                ERROR,
                None,
                "The Python package nvidia-ml-py is too old." if problem.found else "There is no Python module pynvml.",
                f"{problem.requirement} is needed to read and change GPUs.",
                "The role gpufleet.mig.mig_driver brings it.",
            )
        ]
    devices = [device for device in evidence.gpus if device.driver != PASSED_ON]
    findings = [_no_driver(evidence, device, problem) for device in devices]
    if evidence.device_files and not evidence.gpus:
        findings.append(Finding("driver", ERROR, None, str(problem), "A working NVIDIA driver is needed.", RELOAD))
    return findings + _passed_on(evidence)


def check_host(evidence, snapshot, states, entries=None, wanted=(), minimum=None):
    """The Findings of a host whose driver answers.

    ``states`` maps GPU UUIDs to GpuStates. ``entries`` is the checked layout, None without one: then every GPU is
    judged; ``wanted`` are the pairs of Gpu and GpuLayout that it resolves to. ``minimum`` is a driver version below
    which the user wants no host.
    """
    layouts = {gpu.index: layout for gpu, layout in wanted}
    # Without MIG a GPU is as an entry that wants none there says, whatever its model could do.
    with_mig = entries if entries is None else [entry for entry in entries if entry.layout.mig_enabled]
    concerned = [
        gpu
        for gpu in snapshot.gpus
        if _concerns(entries, gpu)
        and (gpu.mig_capable or gpu.problem or (model_of(gpu.pci_device_id) and _concerns(with_mig, gpu)))
    ]
    findings = _host(evidence, snapshot, states, entries, concerned, minimum)
    for gpu in snapshot.gpus:
        if gpu.problem:
            findings.append(_unreadable(gpu, ERROR if gpu in concerned else WARNING))
        elif gpu in concerned:
            layout = layouts.get(gpu.index)
            findings += _driver_for_model(gpu, snapshot)
            findings += _state(gpu, states.get(gpu.uuid, GpuState()), layout)
            if layout:
                findings += _driver_for_layout(gpu, layout, snapshot)
    return findings


def _host(evidence, snapshot, states, entries, concerned, minimum):
    """Findings about the host as a whole.

    Rule: releases of other programs
    """
    findings = _passed_on(evidence) + _unseen(evidence, snapshot, entries)
    driver = snapshot.driver_version
    if minimum and is_older(driver, minimum):
        found, needed = f"The NVIDIA driver is {driver}.", f"mig_driver_minimum asks for {minimum} or later."
        findings.append(Finding("driver_minimum", ERROR, None, found, needed, INSTALL))
    if evidence.container_toolkit is not None and (
        not evidence.container_toolkit or is_older(evidence.container_toolkit, CONTAINER_TOOLKIT)
    ):
        found = (
            f"The NVIDIA Container Toolkit is {evidence.container_toolkit}."
            if evidence.container_toolkit
            else "The NVIDIA Container Toolkit is not installed (there is no nvidia-ctk on PATH)."
        )
        needed = f"Containers on MIG devices need {CONTAINER_TOOLKIT} or later."
        remedy = "Install the package nvidia-container-toolkit from NVIDIA's repository."
        findings.append(Finding("container_toolkit", ERROR, None, found, needed, remedy))
    if evidence.nouveau:
        found = "The kernel module nouveau is loaded beside the NVIDIA driver."
        remedy = "Blacklist nouveau (/etc/modprobe.d), rebuild the initial RAM disk and reboot."
        findings.append(
            Finding("nouveau", WARNING, None, found, "It must not take a GPU at the next boot or reset.", remedy)
        )
    if {"orphans", "placements"} & set(snapshot.incomplete):
        found = f"User {evidence.user} may not list GPU instances, so their placements and what is free are not known."
        remedy = what_to_do("permission")
        findings.append(Finding("permission", WARNING, None, found, "A full check and any change need that.", remedy))
    if evidence.nvswitches and not evidence.fabric_manager:
        findings.append(_no_fabric_manager(evidence, snapshot))
    in_mig = [gpu for gpu in concerned if gpu.mig_mode]
    if in_mig and evidence.capability_minors and not evidence.capability_devices:
        found = "MIG is on and there are no device files in /dev/nvidia-caps."
        needed = "Containers, Slurm and users other than root reach MIG devices through them."
        remedy = "Run nvidia-modprobe -f /proc/driver/nvidia/capabilities/mig/config, or nvidia-smi -L, as root."
        findings.append(Finding("capability_devices", WARNING, None, found, needed, remedy))
    if in_mig and not evidence.persistence_daemon:
        off = [gpu for gpu in in_mig if states.get(gpu.uuid) and states[gpu.uuid].persistence is False]
        if off:
            found = "nvidia-persistenced does not run and persistence mode is off."
            needed = "Without either the driver lets go of an idle GPU, which costs time at every start of a job."
            remedy = "Run systemctl enable --now nvidia-persistenced."
            findings.append(Finding("persistence", WARNING, None, found, needed, remedy))
    return findings


def _no_driver(evidence, device, problem):
    """The finding for a GPU on the PCI bus on a host whose driver does not answer.

    Rule: minimum driver and CUDA
    """
    gpu, model = _as_gpu(device), model_of(device.pci_device_id)
    needed = f"MIG on it needs driver {model.minimum_driver} or later." if model else "MIG needs NVIDIA's driver."
    severity = ERROR if model else WARNING
    if device.driver == "nouveau":
        remedy = f"Blacklist nouveau (/etc/modprobe.d), rebuild the initial RAM disk, then: {INSTALL}"
        return Finding("nouveau", severity, gpu, "The kernel module nouveau drives it.", needed, remedy)
    if evidence.kernel_module:
        found = f"The kernel module {evidence.kernel_module} is loaded and NVML does not open: {problem}"
        return Finding("driver", severity, gpu, found, needed, RELOAD)
    if getattr(problem, "code", None) == "DRIVER_NOT_LOADED":
        remedy = "Run modprobe nvidia and look at the kernel log; a new kernel may lack the module (dkms status)."
        found = "The NVIDIA driver is installed and its kernel module is not loaded."
        return Finding("driver", severity, gpu, found, needed, remedy)
    return Finding("driver", severity, gpu, "No NVIDIA driver is installed.", needed, INSTALL)


def _passed_on(evidence):
    """GPUs that belong to virtual machines of this host."""
    return [
        Finding(
            "pass-through",
            WARNING,
            _as_gpu(device),
            "It is bound to vfio-pci, for a virtual machine.",
            "MIG is set up inside that machine.",
            "Bind it to the nvidia driver if this host is to partition it.",
        )
        for device in evidence.gpus
        if device.driver == PASSED_ON
    ]


def _unseen(evidence, snapshot, entries):
    """MIG-capable GPUs on the PCI bus that the driver does not have."""
    if any(gpu.problem and not gpu.pci_address for gpu in snapshot.gpus):
        return []  # one of those that do not answer may be the one
    seen = {_address(gpu.pci_address) for gpu in snapshot.gpus if gpu.pci_address}
    findings = []
    for device in evidence.gpus:
        if model_of(device.pci_device_id) and device.driver != PASSED_ON and _address(device.pci_address) not in seen:
            found = "It is on the PCI bus and the NVIDIA driver does not list it"
            found += f" (kernel driver: {device.driver or 'none'})."
            gpu = _as_gpu(device)
            severity = ERROR if _concerns(entries, gpu) else WARNING
            findings.append(Finding("lost", severity, gpu, found, "The driver must have it.", what_to_do("lost")))
    return findings


def _unreadable(gpu, severity):
    kind = kind_of(gpu.problem_code)
    check = kind if kind in ("lost", "reset_required") else "unreadable"
    found = gpu.problem.replace(what_to_do(kind), "").strip()
    return Finding(check, severity, gpu, found, "The GPU must answer before it can be changed.", what_to_do(kind))


def _driver_for_model(gpu, snapshot):
    """Why the driver offers no MIG on a GPU of a model that has it; where it does, no version is too old.

    Rule: minimum driver and CUDA
    """
    model, driver = model_of(gpu.pci_device_id), snapshot.driver_version
    if not model or gpu.mig_capable:
        return []
    if is_older(driver, model.minimum_driver):
        found = f"The NVIDIA driver is {driver}, which offers no MIG on this GPU."
        needed = f"MIG on {model.name} needs {model.minimum_driver} or later."
        return [Finding("driver_model", ERROR, gpu, found, needed, INSTALL)]
    if snapshot.cuda_version and is_older(snapshot.cuda_version, model.cuda):
        found = f"The driver serves CUDA {snapshot.cuda_version}, and offers no MIG on this GPU."
        return [Finding("cuda", ERROR, gpu, found, f"MIG on {model.name} needs CUDA {model.cuda}.", INSTALL)]
    found = "The driver does not offer MIG on this GPU, though the model has it."
    needed = "A GPU that is a vGPU, or in a mode such as confidential computing, cannot be partitioned."
    remedy = "Look at nvidia-smi -q -i for its modes."
    vbios = vbios_of_compute_mode(gpu.pci_device_id)
    if vbios:
        needed = f"This one has none in display mode: it needs compute mode, and VBIOS {vbios} or later."
        remedy = "nvidia-smi -q -i shows the VBIOS; NVIDIA's DisplayModeSelector, 1.72 or later, sets the mode."
    return [Finding("mig", ERROR, gpu, found, needed, remedy)]


def _state(gpu, state, layout):
    """What of the state of a GPU somebody should know before a change.

    Rule: reset in a virtual machine
    """
    findings = []
    if state.virtualization == "vgpu":
        needed = "GPU instances are made on the hypervisor, which gives this machine one of them."
        findings.append(
            Finding("vgpu", ERROR, gpu, "It is a vGPU.", needed, "Partition it there, and leave it out of the layout.")
        )
    if state.virtualization in ("host_vgpu", "host_vsga"):
        found = "It serves vGPUs to virtual machines of this host."
        needed = "An instance that a virtual machine has is not free, whether processes are listed or not."
        findings.append(Finding("vgpu", WARNING, gpu, found, needed, "Shut those machines down before a change."))
    changes_mode = layout and gpu.mig_capable and gpu.mig_mode != layout.mig_enabled
    if state.virtualization == "pass-through" and gpu.mode_needs_reset and changes_mode:
        found = "It is passed through to this virtual machine, from inside of which most GPUs cannot be reset."
        needed = "Its MIG mode then changes when the machine reboots."
        remedy = "Let the role reboot it (mig_partition_reboot: true), or reboot it yourself."
        findings.append(Finding("pass-through", WARNING, gpu, found, needed, remedy))
    if state.ecc != state.ecc_pending:
        found = f"ECC is {_on_off(state.ecc)} and will be {_on_off(state.ecc_pending)} after the next reset."
        needed = "A reset for MIG mode changes it along, and with it the memory that the GPU has."
        which = gpu.pci_address or gpu.uuid
        remedy = f"Take it back with nvidia-smi -e {int(bool(state.ecc))} -i {which} if that is not meant."
        findings.append(Finding("ecc", WARNING, gpu, found, needed, remedy))
    if gpu.mig_mode != gpu.mig_mode_pending:
        found = f"MIG mode is {mode_word(gpu.mig_mode)}; somebody left it to become {mode_word(gpu.mig_mode_pending)}."
        needed = "The next reset or reboot changes the mode, with all instances gone."
        remedy = "Give the GPU the mode that it should have with gpufleet.mig.mig_mode, or a layout that names it."
        findings.append(Finding("pending_mode", WARNING, gpu, found, needed, remedy))
    if state.fabric in ("not_started", "in_progress"):
        found = f"Its registration with the NVLink fabric is {state.fabric.replace('_', ' ')}."
        needed = "CUDA does not start on it before Fabric Manager has completed that."
        remedy = "Look at systemctl status nvidia-fabricmanager; its version must be that of the driver."
        findings.append(Finding("fabric", WARNING, gpu, found, needed, remedy))
    return findings


def _driver_for_layout(gpu, layout, snapshot):
    """What a driver lacks for a layout. Since when a profile is offered explains one that is not; before MIG is on an
    old driver may not tell, and then it is a word of warning.

    Rule: profiles of later drivers
    """
    if not layout.mig_enabled:
        return []
    driver, model = snapshot.driver_version, model_of(gpu.pci_device_id)
    if not snapshot.places_gpu_instances:
        needed = f"Its instances can only be read: {PLACES_GPU_INSTANCES} or later creates them where a plan says."
        return [Finding("driver_age", ERROR, gpu, f"The NVIDIA driver is {driver}.", needed, INSTALL)]
    findings, offered = [], {profile.name for profile in gpu.profiles}
    for name in sorted(_gpu_instance_profiles(layout) - offered):
        since = model and model.later_profiles.get(name)
        if since and is_older(driver, since):
            found, needed = f"The NVIDIA driver is {driver}.", f"{name} on {model.name} needs {since} or later."
            findings.append(Finding("driver_profile", ERROR if offered else WARNING, gpu, found, needed, INSTALL))
    if not snapshot.places_compute_instances and any(
        device.start is not None for want in layout.instances or () for device in want.compute_instances
    ):
        needed = f"It chooses the places of compute instances itself; {PLACES_COMPUTE_INSTANCES} or later takes them "
        needed += "from the layout. If it chooses others, the change is taken back."
        remedy = f"Leave the places out of compute_instances, or: {INSTALL}"
        findings.append(Finding("driver_age", WARNING, gpu, f"The NVIDIA driver is {driver}.", needed, remedy))
    return findings


def _gpu_instance_profiles(layout):
    """The GPU instance profiles that a GpuLayout asks for: 3g.20gb of 1c.3g.20gb."""
    if layout.counts is not None:
        return {outer(name) for name, _count in layout.counts}
    return {want.profile for want in layout.instances or ()}


def _no_fabric_manager(evidence, snapshot):
    needed = "Jobs on GPUs without MIG do not start on an NVSwitch machine without it."
    if any(gpu.mode_needs_reset for gpu in snapshot.gpus):
        needed += " And a GPU cannot be reset alone then: all that share the switches are reset together."
    return Finding(
        "fabric_manager",
        WARNING,
        None,
        f"The machine has {len(evidence.nvswitches)} NVSwitches and Fabric Manager does not run.",
        needed,
        f"Install nvidia-fabricmanager of the driver's version ({snapshot.driver_version}) and run systemctl enable "
        "--now nvidia-fabricmanager.",
    )


def _concerns(entries, gpu):
    """Whether any entry is about the GPU, MIG-capable or not; one of higher rank may have the say."""
    return entries is None or any(
        entry.is_about(gpu) and (entry.gpus is None or any(selector.matches(gpu) for selector in entry.gpus))
        for entry in entries
    )


def _as_gpu(device):
    return Gpu(None, pci_address=device.pci_address, pci_device_id=device.pci_device_id)


def _name(gpu):
    if gpu.index is not None:
        return gpu.name
    model = model_of(gpu.pci_device_id)
    return f"GPU at {gpu.pci_address} ({model.name if model else f'0x{gpu.pci_device_id:08X}'})"


def _address(text):
    """A PCI address with its domain as a number: NVML writes eight digits of it, the kernel four."""
    domain, _colon, rest = text.partition(":")
    return int(domain, 16), rest.lower()


def _on_off(flag):
    return "on" if flag else "off"
