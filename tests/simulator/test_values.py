# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVML says of a GPU besides MIG: plausible, steady, and NOT_SUPPORTED where real GPUs and MIG devices say so."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pynvml as n
import pytest
import yaml
from mig_calls import spanning

CATALOGUE = yaml.safe_load((Path(__file__).parents[2] / "roles/mig_simulator/files/catalogue.yml").read_text())

# Functions of nvidia-ml-py that take a GPU and nothing else. Those that every GPU here answers:
OF_ANY_GPU = """
Architecture BAR1MemoryInfo BoardId BoardPartNumber Brand BusType ComputeMode ComputeRunningProcesses
CpuAffinity CudaComputeCapability CurrPcieLinkGeneration CurrPcieLinkWidth CurrentClocksEventReasons
CurrentClocksThrottleReasons DefaultEccMode DisplayActive DisplayMode EccMode EncoderStats EnforcedPowerLimit FBCStats
GpuMaxPcieLinkGeneration GraphicsRunningProcesses Index InforomConfigurationChecksum InforomImageVersion IrqNum
MaxPcieLinkGeneration MaxPcieLinkWidth MemoryBusWidth MemoryInfo MinorNumber ModuleId MultiGpuBoard Name NumFans
PciInfo PcieLinkMaxSpeed PcieReplayCounter PcieSpeed PerformanceState PersistenceMode PowerManagementDefaultLimit
PowerManagementLimit PowerManagementLimitConstraints PowerManagementMode PowerSource PowerState PowerUsage
RowRemapperHistogram Serial SupportedClocksEventReasons SupportedClocksThrottleReasons SupportedEventTypes
SupportedMemoryClocks TotalEnergyConsumption UUID VbiosVersion VirtualizationMode AccountingMode AccountingBufferSize
AccountingPids GspFirmwareVersion GspFirmwareMode GridLicensableFeatures
"""
# those that only one without MIG mode answers:
WITHOUT_MIG = ["UtilizationRates", "EncoderUtilization", "DecoderUtilization", "JpgUtilization", "OfaUtilization"]
WITHOUT_MIG += ["NumGpuCores"]
# and those that none does:
UNSUPPORTED = ["FanSpeed", "DriverModel", "GpuOperationMode", "BridgeChipInfo", "RetiredPagesPendingStatus"]
UNSUPPORTED += ["NumaNodeId", "SupportedVgpus", "HostVgpuMode"]
# What a MIG device answers; of the rest it has nothing of its own.
OF_MIG_DEVICE = """
Architecture Attributes BAR1MemoryInfo Brand ComputeMode ComputeRunningProcesses CpuAffinity CudaComputeCapability
GraphicsRunningProcesses Index MemoryInfo Name UUID
"""


def ask(name, device):
    return getattr(n, f"nvmlDeviceGet{name}")(*[device, 1] if name == "CpuAffinity" else [device])


@pytest.fixture(params=sorted(CATALOGUE))
def model(request):
    return request.param


@pytest.mark.parametrize("mig", [False, True])
def test_what_every_model_answers(nvml, model, mig, refused):
    gpu = nvml(*["--mig"] * mig, model)
    has_mig = mig and bool(CATALOGUE[model]["profiles"])
    for name in OF_ANY_GPU.split():
        ask(name, gpu)
    for name in WITHOUT_MIG:
        if has_mig:
            refused(n.NVML_ERROR_NOT_SUPPORTED, ask, name, gpu)
        else:
            ask(name, gpu)
    for name in UNSUPPORTED:
        refused(n.NVML_ERROR_NOT_SUPPORTED, ask, name, gpu)


def test_values_are_those_of_the_catalogue(nvml, model):
    gpu = nvml(model)
    board, power = CATALOGUE[model]["board"], CATALOGUE[model]["power_w"]
    clocks, degrees = CATALOGUE[model]["clocks_mhz"], CATALOGUE[model]["temperature_c"]
    assert n.nvmlDeviceGetBoardPartNumber(gpu) == board["part_number"]
    assert n.nvmlDeviceGetVbiosVersion(gpu) == board["vbios"]
    assert ".".join(map(str, n.nvmlDeviceGetCudaComputeCapability(gpu))) == board["compute_capability"]
    assert n.nvmlDeviceGetNumGpuCores(gpu) == board["cuda_cores"]
    assert n.nvmlDeviceGetMemoryBusWidth(gpu) == board["memory_bus_bits"]
    assert n.nvmlDeviceGetBAR1MemoryInfo(gpu).bar1Total == board["bar1_mib"] << 20
    assert n.nvmlDeviceGetMaxPcieLinkGeneration(gpu) == board["pcie_generation"]
    assert n.nvmlDeviceGetPowerUsage(gpu) == power["idle"] * 1000
    assert n.nvmlDeviceGetPowerManagementLimitConstraints(gpu) == [power["min"] * 1000, power["max"] * 1000]
    assert n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM) == clocks["graphics_idle"]
    assert n.nvmlDeviceGetMaxClockInfo(gpu, n.NVML_CLOCK_MEM) == clocks["memory"]
    assert n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU) == degrees["idle"]
    assert n.nvmlDeviceGetTemperatureV(gpu, n.NVML_TEMPERATURE_GPU) == degrees["idle"]
    thresholds = ["shutdown", "slowdown", "memory_max", "gpu_max"]
    assert [n.nvmlDeviceGetTemperatureThreshold(gpu, i) for i in range(4)] == [degrees[name] for name in thresholds]
    graphics = n.nvmlDeviceGetSupportedGraphicsClocks(gpu, clocks["memory"])
    assert graphics == sorted(graphics, reverse=True) and graphics[0] == clocks["graphics"]


def test_a_mig_device_answers_for_itself_only(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance = n.nvmlDeviceCreateGpuInstance(gpu, 9)
    n.nvmlGpuInstanceCreateComputeInstance(instance, 2)
    device = n.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    for name in OF_MIG_DEVICE.split():
        ask(name, device)
    for name in {*OF_ANY_GPU.split(), *WITHOUT_MIG, *UNSUPPORTED} - set(OF_MIG_DEVICE.split()):
        refused(n.NVML_ERROR_NOT_SUPPORTED, ask, name, device)
    memory, bar1 = n.nvmlDeviceGetMemoryInfo(device), n.nvmlDeviceGetBAR1MemoryInfo(device)
    assert memory.total == 19968 << 20 and memory.used + memory.free == memory.total
    assert bar1.bar1Total == 32767 << 20
    assert n.nvmlDeviceGetTotalEccErrors(device, n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC) == 0
    sram = (n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC, n.NVML_MEMORY_LOCATION_SRAM)
    dram = (n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC, n.NVML_MEMORY_LOCATION_DRAM)
    assert n.nvmlDeviceGetMemoryErrorCounter(device, *sram) == 0
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetMemoryErrorCounter, device, *dram)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetRemappedRows, gpu)
    n.nvmlComputeInstanceDestroy(n.nvmlGpuInstanceGetComputeInstanceById(instance, 0))
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetBAR1MemoryInfo, device)
    n.nvmlGpuInstanceDestroy(instance)
    assert n.nvmlDeviceGetRemappedRows(gpu) == (0, 0, 0, 0)


def test_a_gpu_at_work_shows_it(nvml, host):
    gpu = nvml("L40S-48GB")
    idle = n.nvmlDeviceGetPowerUsage(gpu), n.nvmlDeviceGetTemperature(gpu, 0), n.nvmlDeviceGetMemoryInfo(gpu).used
    assert n.nvmlDeviceGetPerformanceState(gpu) == 8
    assert n.nvmlDeviceGetCurrentClocksEventReasons(gpu) == n.nvmlClocksEventReasonGpuIdle
    client = host.client("run", "--device", "0")
    assert n.nvmlDeviceGetUtilizationRates(gpu).gpu > 90
    assert n.nvmlDeviceGetPerformanceState(gpu) == 0
    assert n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM) == 2520
    at_work = n.nvmlDeviceGetPowerUsage(gpu), n.nvmlDeviceGetTemperature(gpu, 0), n.nvmlDeviceGetMemoryInfo(gpu).used
    assert all(more > less for more, less in zip(at_work, idle, strict=True))
    assert [sample.pid for sample in n.nvmlDeviceGetProcessUtilization(gpu, 0)] == [client.pid]
    client.end()
    assert n.nvmlDeviceGetUtilizationRates(gpu).gpu == 0
    assert n.nvmlDeviceGetPowerUsage(gpu) == idle[0]


def test_a_holder_is_no_work(nvml, host):
    gpu = nvml("L40S-48GB")
    host.client("hold", "--gpu", "0")
    assert n.nvmlDeviceGetUtilizationRates(gpu).gpu == 0


def test_memory_of_a_mig_gpu_is_the_sum(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance = n.nvmlDeviceCreateGpuInstance(gpu, 9)
    for _unused in range(2):
        n.nvmlGpuInstanceCreateComputeInstance(instance, 0)
    n.nvmlDeviceCreateGpuInstance(gpu, 19)
    devices = [n.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index) for index in range(2)]
    before = n.nvmlDeviceGetMemoryInfo(gpu, version=n.nvmlMemory_v2).used
    host.client("run", "--device", n.nvmlDeviceGetUUID(devices[0]))
    process = n.nvmlDeviceGetComputeRunningProcesses(devices[0])[0]
    used = [n.nvmlDeviceGetMemoryInfo(device).used for device in devices]
    assert used[0] == used[1] > process.usedGpuMemory > 0  # one GPU instance, one memory
    after = n.nvmlDeviceGetMemoryInfo(gpu, version=n.nvmlMemory_v2)
    assert after.used == before + process.usedGpuMemory
    older = n.nvmlDeviceGetMemoryInfo(gpu)
    assert (older.total, older.free, older.used) == (after.total, after.free, after.used + after.reserved)


def test_settings_last_until_a_reboot_and_need_permission(nvml, host, refused):
    gpu = nvml("A100-SXM4-40GB")
    n.nvmlDeviceSetPersistenceMode(gpu, 1)
    n.nvmlDeviceSetComputeMode(gpu, n.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)
    n.nvmlDeviceSetPowerManagementLimit(gpu, 250000)
    n.nvmlDeviceSetApplicationsClocks(gpu, 1215, 1005)
    n.nvmlDeviceSetAccountingMode(gpu, 1)

    def settings():
        return [
            n.nvmlDeviceGetPersistenceMode(gpu),
            n.nvmlDeviceGetComputeMode(gpu),
            n.nvmlDeviceGetEnforcedPowerLimit(gpu),
            n.nvmlDeviceGetApplicationsClock(gpu, n.NVML_CLOCK_GRAPHICS),
            n.nvmlDeviceGetAccountingMode(gpu),
        ]

    assert settings() == [1, n.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS, 250000, 1005, 1]
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceSetPowerManagementLimit, gpu, 1000)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceSetApplicationsClocks, gpu, 1215, 1006)
    n.nvmlDeviceResetApplicationsClocks(gpu)
    assert n.nvmlDeviceGetApplicationsClock(gpu, n.NVML_CLOCK_GRAPHICS) == 1410
    host.command("reboot")
    assert settings() == [0, n.NVML_COMPUTEMODE_DEFAULT, 400000, 1410, 0]

    gpu = nvml("--admin-uid", "4242", "A100-SXM4-40GB")
    for function, value in [
        (n.nvmlDeviceSetPersistenceMode, 1),
        (n.nvmlDeviceSetComputeMode, 0),
        (n.nvmlDeviceSetPowerManagementLimit, 250000),
        (n.nvmlDeviceSetAccountingMode, 1),
    ]:
        refused(n.NVML_ERROR_NO_PERMISSION, function, gpu, value)


def test_ecc_changes_at_a_reset_and_outlives_a_reboot(nvml, host, refused):
    gpu = nvml("A100-SXM4-40GB")
    assert n.nvmlDeviceGetEccMode(gpu) == [1, 1]
    n.nvmlDeviceSetEccMode(gpu, 0)
    assert n.nvmlDeviceGetEccMode(gpu) == [1, 0]
    host.command("reboot")
    assert n.nvmlDeviceGetEccMode(gpu) == [0, 0]
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceSetEccMode, gpu, 2)
    gpu = nvml("--admin-uid", "4242", "A100-SXM4-40GB")
    refused(n.NVML_ERROR_NO_PERMISSION, n.nvmlDeviceSetEccMode, gpu, 0)
    assert n.nvmlDeviceGetEccMode(gpu) == [1, 1]


def test_topology_and_nvlink(nvml, refused):
    first = nvml("--mig", "A100-SXM4-40GB:8", "L40S-48GB:2")
    gpus = [n.nvmlDeviceGetHandleByIndex(index) for index in range(10)]
    assert n.nvmlDeviceGetTopologyCommonAncestor(first, first) == n.NVML_TOPOLOGY_INTERNAL
    assert n.nvmlDeviceGetTopologyCommonAncestor(first, gpus[1]) == n.NVML_TOPOLOGY_HOSTBRIDGE
    assert n.nvmlDeviceGetTopologyCommonAncestor(first, gpus[7]) == n.NVML_TOPOLOGY_NODE
    assert len(n.nvmlDeviceGetTopologyNearestGpus(first, n.NVML_TOPOLOGY_HOSTBRIDGE)) == 3
    assert len(n.nvmlSystemGetTopologyGpuSet(0)) == 10
    assert n.nvmlDeviceGetNvLinkState(first, 0) == 0  # MIG takes the links away
    p2p = n.nvmlDeviceGetP2PStatus
    assert p2p(first, gpus[1], n.NVML_P2P_CAPS_INDEX_NVLINK) == n.NVML_P2P_STATUS_NOT_SUPPORTED
    for gpu in gpus[:2]:
        n.nvmlDeviceSetMigMode(gpu, 0)
    assert n.nvmlDeviceGetNvLinkState(first, 11) == 1
    assert p2p(first, gpus[1], n.NVML_P2P_CAPS_INDEX_NVLINK) == n.NVML_P2P_STATUS_OK
    assert n.nvmlDeviceGetNvLinkRemotePciInfo(first, 11).bus != n.nvmlDeviceGetNvLinkRemotePciInfo(first, 0).bus
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetNvLinkState, first, 12)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetNvLinkState, gpus[8], 0)


def test_links_lead_to_switches_or_to_other_gpus(nvml, refused):
    def ends(gpu):
        pci = n.nvmlDeviceGetNvLinkRemotePciInfo
        types = {n.nvmlDeviceGetNvLinkRemoteDeviceType(gpu, link) for link in range(12)}
        return types, {pci(gpu, link).busId for link in range(12)}, {pci(gpu, link).pciDeviceId for link in range(12)}

    direct = ends(nvml("A100-SXM4-40GB:3"))
    assert direct == ({n.NVML_NVLINK_DEVICE_TYPE_GPU}, {"00000000:0F:00.0", "00000000:47:00.0"}, {0x20B010DE})
    switches = {"00000000:C0:00.0", "00000000:C1:00.0"}
    assert ends(nvml("--nvswitch", "A100-SXM4-40GB:3")) == (
        {n.NVML_NVLINK_DEVICE_TYPE_SWITCH},
        switches,
        {0x1AF110DE},
    )
    assert n.nvmlDeviceGetNvLinkRemoteDeviceType(nvml("H100-SXM5-80GB"), 0) == n.NVML_NVLINK_DEVICE_TYPE_SWITCH
    lone = nvml("A100-SXM4-40GB")
    assert n.nvmlDeviceGetNvLinkState(lone, 0) == 0
    assert n.nvmlDeviceGetNvLinkRemoteDeviceType(lone, 0) == n.NVML_NVLINK_DEVICE_TYPE_UNKNOWN
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetNvLinkRemotePciInfo, lone, 0)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetNvLinkRemoteDeviceType, nvml("A30-24GB"), 0)


def test_plain_lists_tell_their_size_first(nvml):
    gpu = nvml("RTX-PRO-6000-BLACKWELL-96GB")
    function = n._nvmlGetFunctionPointer("nvmlDeviceGetSupportedMemoryClocks")
    count = ctypes.c_uint(0)
    assert function(gpu, ctypes.byref(count), None) == n.NVML_ERROR_INSUFFICIENT_SIZE
    assert count.value == 2
    clocks = (ctypes.c_uint * 2)()
    assert function(gpu, ctypes.byref(count), clocks) == n.NVML_SUCCESS
    assert list(clocks) == [12481, 405]


def test_events(nvml, refused):
    gpu = nvml("A100-SXM4-40GB")
    events = n.nvmlEventSetCreate()
    n.nvmlDeviceRegisterEvents(gpu, n.nvmlEventTypeXidCriticalError, events)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceRegisterEvents, gpu, 1 << 40, events)
    refused(n.NVML_ERROR_TIMEOUT, n.nvmlEventSetWait_v2, events, 1)
    n.nvmlEventSetFree(events)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlEventSetFree, events)
    kept = n.nvmlEventSetCreate()
    gpu = nvml()  # another session: what was made in the last one is void
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlEventSetWait_v2, kept, 1)
    sets = [n.nvmlEventSetCreate() for _unused in range(1000)]
    assert len({ctypes.cast(one, ctypes.c_void_p).value for one in sets}) == 1000


def test_field_values_have_a_code_each(nvml):
    gpu = nvml("--mig", "H100-SXM5-80GB")
    ids = [n.NVML_FI_DEV_POWER_INSTANT, 9999, n.NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED, n.NVML_FI_DEV_NVLINK_LINK_COUNT]
    values = n.nvmlDeviceGetFieldValues(gpu, ids)
    assert [value.nvmlReturn for value in values] == [0, n.NVML_ERROR_NOT_SUPPORTED, 0, 0]
    assert [values[i].value.uiVal for i in (0, 2, 3)] == [70000, 1, 18]
    array = (n.c_nvmlFieldValue_t * 2)()
    function = n._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
    assert function(None, 2, array) == n.NVML_ERROR_INVALID_ARGUMENT
    n.nvmlShutdown()
    assert [value.nvmlReturn for value in array] == [n.NVML_ERROR_INVALID_ARGUMENT] * 2
    assert function(gpu, 2, array) == n.NVML_ERROR_UNINITIALIZED
    assert [value.nvmlReturn for value in array] == [n.NVML_ERROR_UNINITIALIZED] * 2


@pytest.mark.parametrize(
    ("model", "profile", "seen"),
    [
        ("H100-SXM5-80GB", 19, 6185),
        ("H100-SXM5-80GB", 9, 24740),
        ("H200-SXM5-141GB", 19, 14809),
        ("RTX-PRO-6000-BLACKWELL-96GB", 14, 8327),
    ],
)
def test_bar1_of_a_mig_device_from_r580_on(nvml, model, profile, seen):
    device = spanning(nvml("--mig", model), profile)[2]
    assert n.nvmlDeviceGetBAR1MemoryInfo(device).bar1Total / (1 << 20) == pytest.approx(seen, rel=0.005)


def test_gpm_is_hoppers(nvml, refused):
    gpu = nvml("H100-SXM5-80GB")
    assert n.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice
    samples = [n.nvmlGpmSampleGet(gpu, n.nvmlGpmSampleAlloc()) for _unused in range(2)]
    asked = n.c_nvmlGpmMetricsGet_t()
    asked.version, asked.numMetrics, asked.sample1, asked.sample2 = 1, 2, *samples
    asked.metrics[0].metricId, asked.metrics[1].metricId = n.NVML_GPM_METRIC_SM_UTIL, 333
    answer = n.nvmlGpmMetricsGet(asked)
    assert [answer.metrics[i].nvmlReturn for i in range(2)] == [0, n.NVML_ERROR_NOT_SUPPORTED]
    assert answer.metrics[0].metricInfo.shortName == b"SM Util"
    gpu = nvml("A100-SXM4-40GB")
    assert not n.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlGpmSampleGet, gpu, n.nvmlGpmSampleAlloc())


def test_gpm_of_a_gpu_instance_is_its_own(nvml, host, refused):
    gpu = nvml("--mig", "H100-SXM5-80GB")
    busy, idle = (spanning(gpu, 9)[2] for _unused in range(2))
    host.client("run", "--device", n.nvmlDeviceGetUUID(busy))

    def sample(device=None):
        made = n.nvmlGpmSampleAlloc()
        if device is None:
            return n.nvmlGpmSampleGet(gpu, made)
        return n.nvmlGpmMigSampleGet(gpu, n.nvmlDeviceGetGpuInstanceId(device), made)

    def graphics_use(one, other):
        asked = n.c_nvmlGpmMetricsGet_t()
        asked.version, asked.numMetrics, asked.sample1, asked.sample2 = 1, 1, one, other
        asked.metrics[0].metricId = n.NVML_GPM_METRIC_GRAPHICS_UTIL
        return n.nvmlGpmMetricsGet(asked).metrics[0].value

    assert [graphics_use(sample(of), sample(of)) for of in (busy, idle, None)] == [97, 0, 97]
    refused(n.NVML_ERROR_INVALID_ARGUMENT, graphics_use, sample(busy), sample(idle))
    refused(n.NVML_ERROR_INVALID_ARGUMENT, graphics_use, sample(busy), sample())


def test_fabric_is_of_hopper_and_later_with_nvlink(nvml, refused):
    refused(n.NVML_ERROR_NOT_SUPPORTED, fabric, nvml("A100-SXM4-40GB"))
    refused(n.NVML_ERROR_NOT_SUPPORTED, fabric, nvml("H100-NVL-94GB"))
    assert fabric(nvml("H200-SXM5-141GB")).state == n.NVML_GPU_FABRIC_STATE_COMPLETED


def fabric(gpu):
    info = n.c_nvmlGpuFabricInfoV_t()
    return n.nvmlDeviceGetGpuFabricInfoV(gpu, ctypes.byref(info)) or info
