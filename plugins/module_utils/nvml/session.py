# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The door to NVML: a session that reads Snapshots and executes Steps.

pynvml is imported when a session opens, so the modules load on hosts that lack it.
"""

from __future__ import annotations

from contextlib import suppress

from ..errors import DriverMissing, LibraryMissing, NvmlError, code_name
from .binding import DRIVER_CODES, import_binding
from .reading import GATHER, Reader


class Session:
    """One NVML session, used as a context manager.

    Entering raises LibraryMissing, DriverMissing or BindingMissing (only where there is a library: without one there is
    nothing to read, whatever the binding). Every method raises NvmlError for a call that the driver refuses.
    ``run_command`` is AnsibleModule's, for steps that reset a GPU. ``gather`` is what read gathers unless told.
    """

    def __init__(self, run_command=None, gather=GATHER):
        self.run_command = run_command
        self._gather = gather

    def __enter__(self):
        self._pynvml = import_binding()
        self._opened = None
        try:
            self._open()
        except NvmlError as error:
            if error.code == "LIBRARY_NOT_FOUND":
                raise LibraryMissing() from None
            if error.code in DRIVER_CODES:
                raise DriverMissing(error.code) from None
            raise
        return self

    def __exit__(self, *exception):
        self.close()

    def _open(self):
        self.call("nvmlInit")
        self._opened = Reader(self)

    def close(self):
        """Let go of the driver; what is read or executed next opens the session again."""
        if self._opened:
            self._opened = None
            with suppress(NvmlError):  # nothing is left to release, and an error here would hide the one that matters
                self.call("nvmlShutdown")

    @property
    def reader(self):
        """The Reader of the open session, which a reset has closed: then it opens again."""
        if not self._opened:
            self._open()
        return self._opened

    def call(self, function, *arguments):
        """Call a function of pynvml by name and return what it returns."""
        try:
            return getattr(self._pynvml, function)(*arguments)
        except self._pynvml.NVMLError as error:
            raise NvmlError(function, code_name(error.value)) from None

    def call_raw(self, function, *arguments):
        """Call a function of the library that pynvml does not wrap; the arguments are ctypes values."""
        try:
            self._pynvml._nvmlCheckReturn(self._pynvml._nvmlGetFunctionPointer(function)(*arguments))
        except self._pynvml.NVMLError as error:
            raise NvmlError(function, code_name(error.value)) from None

    def ctype(self, name):
        """A ctypes type of pynvml by its name."""
        return getattr(self._pynvml, name)

    def has(self, function):
        """Whether the driver's library has this function."""
        try:
            self._pynvml._nvmlGetFunctionPointer(function)
        except self._pynvml.NVMLError:
            return False
        return True

    @property
    def places_gpu_instances(self):
        """Whether a GPU instance can be given a placement (R460 and later)."""
        return self.has("nvmlDeviceCreateGpuInstanceWithPlacement")

    @property
    def places_compute_instances(self):
        """Whether a compute instance can be given a placement (R525 and later)."""
        return self.has("nvmlGpuInstanceCreateComputeInstanceWithPlacement")

    def read(self, gather=None, only=None):
        """Read the host and return a Snapshot.

        ``gather`` holds any of profiles, instances, processes (these imply instances) and reset_peers. ``only`` is None
        for all GPUs, or a function that takes the tuple of Gpu, identified and with their MIG mode, and returns those
        to read.
        A GPU that fails is in the Snapshot with its ``problem``; it does not keep the others from being read.
        """
        return self.reader.snapshot(self._gather if gather is None else gather, only)

    def read_gpu(self, gpu):
        """Read one GPU again and return a Gpu: mode, instances and processes; what cannot have changed is kept."""
        return self.reader.gpu(gpu)

    def state(self, gpu):
        """Read what else may stand in the way of a change on one GPU and return a GpuState."""
        from .gpu_state import read_state

        return read_state(self, self.reader.handle(gpu))

    def execute(self, step):
        """Execute one Step. Returns what it brought about:

        ``{"activation": "SUCCESS" | "IN_USE" | "RESET_REQUIRED" | ...}`` for set_mig_mode,
        ``{"gpu_instance_id": int}`` for create_gpu_instance,
        ``{"gpu_instance_id": int, "compute_instance_id": int, "uuid": str or None, "placement": Placement}`` for
        create_compute_instance: before R525 it is the driver that chooses the place,
        and {} for the others. An id or UUID that NVML does not tell is left out.
        """
        from .steps import ACTIONS  # only for who changes something

        return ACTIONS[step.action](self, step)

    def remaining(self, gpu):
        """How many more GPU instances of each profile the driver has room for: {profile name: count}, None untold."""
        return self.reader.remaining(gpu)

    def inside(self, step):
        """Ask the GPU instance around a create_compute_instance step what it offers and holds.

        Returns (a tuple of ComputeProfile, its compute slices, a tuple of ComputeInstance without processes).
        """
        from .steps import gpu_instance_of

        return self.reader.inside(step.gpu, gpu_instance_of(self, step))
