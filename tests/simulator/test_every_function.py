# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every exported function: there, and answering an NVML code whatever it is given. Under sanitizers."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "roles" / "mig_simulator" / "files"
FUNCTION = re.compile(r"^NVML_FUNCTION\(\d+, (\w+),\s+\((.*?)\)\)$", re.DOTALL | re.MULTILINE)
UNSUPPORTED = re.compile(r"^NVML_UNSUPPORTED\(\d+, (\w+)\)$", re.MULTILINE)

# What clients call, recorded by running them. nvidia-smi 535 and 550, MIG and the rest:
NVIDIA_SMI = """
ComputeInstanceDestroy ComputeInstanceGetInfo_v2 DeviceCreateGpuInstance DeviceCreateGpuInstanceWithPlacement
DeviceGetComputeInstanceId DeviceGetDeviceHandleFromMigDeviceHandle DeviceGetGpuInstanceId
DeviceGetGpuInstancePossiblePlacements_v2 DeviceGetGpuInstanceProfileInfoV DeviceGetGpuInstanceRemainingCapacity
DeviceGetGpuInstances DeviceGetMaxMigDeviceCount DeviceGetMigDeviceHandleByIndex DeviceGetMigMode
DeviceIsMigDeviceHandle DeviceSetMigMode GpuInstanceCreateComputeInstance GpuInstanceDestroy
GpuInstanceGetComputeInstancePossiblePlacements GpuInstanceGetComputeInstanceProfileInfoV
GpuInstanceGetComputeInstanceRemainingCapacity GpuInstanceGetComputeInstances GpuInstanceGetInfo
DeviceGetAccountingBufferSize DeviceGetAccountingMode DeviceGetAccountingPids DeviceGetApplicationsClock
DeviceGetArchitecture DeviceGetAttributes_v2 DeviceGetAutoBoostedClocksEnabled DeviceGetBAR1MemoryInfo
DeviceGetBoardId DeviceGetBoardPartNumber DeviceGetBrand DeviceGetBridgeChipInfo DeviceGetClock DeviceGetClockInfo
DeviceGetComputeMode DeviceGetComputeRunningProcesses_v3 DeviceGetConfComputeProtectedMemoryUsage DeviceGetCount_v2
DeviceGetCpuAffinity DeviceGetCurrPcieLinkGeneration DeviceGetCurrPcieLinkWidth DeviceGetDecoderUtilization
DeviceGetDefaultApplicationsClock DeviceGetDisplayActive DeviceGetDisplayMode DeviceGetDriverModel DeviceGetEccMode
DeviceGetEncoderStats DeviceGetEncoderUtilization DeviceGetEnforcedPowerLimit DeviceGetFBCStats DeviceGetFanSpeed
DeviceGetFieldValues DeviceGetGpuFabricInfo DeviceGetGpuMaxPcieLinkGeneration DeviceGetGpuOperationMode
DeviceGetGraphicsRunningProcesses_v3 DeviceGetGridLicensableFeatures_v4 DeviceGetGspFirmwareVersion
DeviceGetHandleByIndex_v2 DeviceGetHostVgpuMode DeviceGetIndex DeviceGetInforomImageVersion DeviceGetInforomVersion
DeviceGetJpgUtilization DeviceGetLastBBXFlushTime DeviceGetMPSComputeRunningProcesses_v3 DeviceGetMaxClockInfo
DeviceGetMaxPcieLinkGeneration DeviceGetMaxPcieLinkWidth DeviceGetMemoryAffinity DeviceGetMemoryErrorCounter
DeviceGetMemoryInfo_v2 DeviceGetMinorNumber DeviceGetModuleId DeviceGetMultiGpuBoard DeviceGetName
DeviceGetOfaUtilization DeviceGetPciInfo_v3 DeviceGetPcieReplayCounter DeviceGetPcieThroughput
DeviceGetPerformanceState DeviceGetPersistenceMode DeviceGetPowerState DeviceGetPowerUsage DeviceGetRemappedRows
DeviceGetRetiredPages DeviceGetRetiredPagesPendingStatus DeviceGetSerial DeviceGetSramEccErrorStatus
DeviceGetSupportedClocksThrottleReasons DeviceGetSupportedGraphicsClocks DeviceGetSupportedMemoryClocks
DeviceGetTemperature DeviceGetTemperatureThreshold DeviceGetTotalEccErrors DeviceGetUUID DeviceGetUtilizationRates
DeviceGetVbiosVersion DeviceGetVirtualizationMode DeviceValidateInforom EventSetCreate EventSetFree GpmMetricsGet
InitWithFlags Shutdown SystemGetCudaDriverVersion_v2 SystemGetDriverVersion
"""
SLURM = """
DeviceGetApplicationsClock DeviceGetAttributes_v2 DeviceGetComputeInstanceId DeviceGetCount_v2 DeviceGetCpuAffinity
DeviceGetGpuInstanceId DeviceGetHandleByIndex_v2 DeviceGetMaxMigDeviceCount DeviceGetMigDeviceHandleByIndex
DeviceGetMigMode DeviceGetMinorNumber DeviceGetName DeviceGetNvLinkRemotePciInfo_v2 DeviceGetNvLinkState
DeviceGetPciInfo_v3 DeviceGetSupportedGraphicsClocks DeviceGetSupportedMemoryClocks DeviceGetUUID
DeviceResetApplicationsClocks DeviceSetApplicationsClocks ErrorString Init_v2 Shutdown SystemGetDriverVersion
SystemGetNVMLVersion
"""
NVTOP = """
Init DeviceGetCount DeviceGetHandleByIndex DeviceGetPciInfo DeviceGetPciInfo_v2 DeviceGetMemoryInfo
DeviceGetComputeRunningProcesses DeviceGetGraphicsRunningProcesses DeviceGetProcessUtilization
DeviceGetTemperatureThreshold DeviceGetPcieThroughput DeviceGetFanSpeed DeviceGetEncoderUtilization
DeviceGetDecoderUtilization DeviceGetMaxPcieLinkGeneration DeviceGetMaxPcieLinkWidth DeviceGetEnforcedPowerLimit
"""
GO_TOOLS = """
DeviceGetHandleByIndex_v2 DeviceGetHandleByUUID DeviceGetHandleByPciBusId_v2 DeviceGetName DeviceGetBrand
DeviceGetArchitecture DeviceGetCudaComputeCapability DeviceGetAttributes_v2 DeviceGetGpuFabricInfo
DeviceGetGpuFabricInfoV DeviceGetMemoryInfo DeviceGetPciInfo_v3 DeviceGetNumaNodeId DeviceGetMinorNumber
DeviceGetMigMode DeviceSetMigMode DeviceGetGpuInstanceProfileInfo DeviceGetGpuInstanceProfileInfoV
DeviceGetGpuInstancePossiblePlacements_v2 DeviceCreateGpuInstance DeviceCreateGpuInstanceWithPlacement
DeviceGetGpuInstances DeviceGetGpuInstanceById GpuInstanceGetInfo GpuInstanceGetComputeInstanceProfileInfo
GpuInstanceGetComputeInstanceProfileInfoV GpuInstanceCreateComputeInstance GpuInstanceGetComputeInstances
GpuInstanceGetComputeInstanceById ComputeInstanceGetInfo_v2 ComputeInstanceDestroy GpuInstanceDestroy
DeviceGetMaxMigDeviceCount DeviceGetMigDeviceHandleByIndex DeviceGetDeviceHandleFromMigDeviceHandle
DeviceGetGpuInstanceId DeviceGetComputeInstanceId EventSetCreate DeviceRegisterEvents EventSetWait_v2 EventSetFree
SystemGetDriverVersion SystemGetNVMLVersion SystemGetCudaDriverVersion_v2
"""


@pytest.mark.parametrize("client", ["NVIDIA_SMI", "SLURM", "NVTOP", "GO_TOOLS"])
def test_library_has_what_this_client_calls(simulator_build, client):
    library = ctypes.CDLL(str(simulator_build / "libnvidia-ml.so.1"))
    assert [name for name in globals()[client].split() if not hasattr(library, f"nvml{name}")] == []


# ---- Any argument ----

HANDLES = ("nvmlDevice_t", "nvmlGpuInstance_t", "nvmlComputeInstance_t", "nvmlEventSet_t", "nvmlGpmSample_t")
LENGTHS = ("length", "cpuSetSize", "nodeSetSize", "size", "valuesCount")
ELEMENTS = 16  # of an array that a pointer may mean; more than any answer to this host has

PROGRAM = """
#include "nvml.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

@declarations@
enum { ELEMENTS = @elements@, HANDLES = 8, FILLS = 3, NUMBERS = 5, POINTERS = 6, GPU = 5, MIG = 6 };

static void *handles[HANDLES]; /* nothing, nonsense, gone, and the ones at GPU and MIG: a GPU's, an instance's */
static const unsigned numbers[NUMBERS] = {0, 1, 4, 19, 0xffffffffu};
static const unsigned lengths[NUMBERS] = {0, 1, 2, 16, 16};
static const char *const texts[FILLS] = {"", "\\xff:%s%n", "GPU-00000000-0000-0000-0000-000000000000"};
static void *buffers[POINTERS];
static unsigned long calls;

/* A fresh allocation for every call, as large as the type says, so that one byte too many is seen. */
static void *fresh(unsigned pointer, unsigned fill, size_t size, size_t elements, unsigned version)
{
    free(buffers[pointer]);
    buffers[pointer] = malloc(size * elements + !elements);
    memset(buffers[pointer], fill == 1 ? 0xff : 0, size * elements + !elements);
    if (fill == 2 && size * elements >= sizeof version)
        memcpy(buffers[pointer], &version, sizeof version);
    return buffers[pointer];
}

/* The number of elements that a function is told it has room for. */
static unsigned *room(unsigned pointer, unsigned fill)
{
    unsigned *count = fresh(pointer, 0, sizeof *count, 1, 0);
    *count = fill == 1 ? ELEMENTS : 0;
    return count;
}

static void check(const char *name, nvmlReturn_t code)
{
    calls++;
    if (code <= NVML_ERROR_RESET_TYPE_NOT_SUPPORTED || code == NVML_ERROR_UNKNOWN)
        return;
    fprintf(stderr, "%s answered %d\\n", name, (int)code);
    exit(1);
}

static void expect(const char *name, nvmlReturn_t expected, nvmlReturn_t code)
{
    if (code == expected)
        return;
    fprintf(stderr, "%s answered %d\\n", name, (int)code);
    exit(1);
}

/* Bring a GPU instance with a compute instance about, and their handles and that of the MIG device or the like. */
static void prepare(void **gpu_instance, void **compute_instance)
{
    nvmlReturn_t activation;
    unsigned found = 0;
    nvmlDeviceGetHandleByIndex_v2(0, (nvmlDevice_t *)&handles[GPU]);
    nvmlDeviceSetMigMode(handles[GPU], 1, &activation);
    nvmlGpuInstance_t instances[ELEMENTS] = {NULL};
    nvmlComputeInstance_t computes[ELEMENTS] = {NULL};
    if (nvmlDeviceGetGpuInstances(handles[GPU], 19, instances, &found) != NVML_SUCCESS || !found)
        nvmlDeviceCreateGpuInstance(handles[GPU], 19, &instances[0]);
    *gpu_instance = instances[0];
    found = 0;
    if (nvmlGpuInstanceGetComputeInstances(instances[0], 0, computes, &found) != NVML_SUCCESS || !found)
        nvmlGpuInstanceCreateComputeInstance(instances[0], 0, &computes[0]);
    *compute_instance = computes[0];
    for (unsigned i = 0; i < 8; i++)
        if (nvmlDeviceGetMigDeviceHandleByIndex(handles[GPU], i, (nvmlDevice_t *)&handles[MIG]) == NVML_SUCCESS)
            break;
}

int main(void)
{
    void *gpu_instance, *compute_instance;
    nvmlEventSet_t set;
    nvmlGpmSample_t sample;

@uninitialised@
    check("nvmlInit_v2", nvmlInit_v2());
    handles[1] = (void *)1;
    handles[2] = (void *)(uintptr_t)-1;
    handles[3] = (void *)handles;
    prepare(&gpu_instance, &compute_instance);
    handles[4] = handles[MIG];
    nvmlComputeInstanceDestroy(compute_instance);
    nvmlGpuInstanceDestroy(gpu_instance);

@calls@
@unsupported@
    for (unsigned p = 0; p < POINTERS; p++)
        free(buffers[p]);
    while (nvmlShutdown() == NVML_SUCCESS)
        ;
    printf("%lu calls\\n", calls);
    return 0;
}
"""


def words(parameters: str) -> list[tuple[str, str]]:
    """'void' -> [], 'nvmlDevice_t device, unsigned int *id' -> [(nvmlDevice_t, device), (unsigned int *, id)]."""
    declared = [] if parameters == "void" else [" ".join(word.split()) for word in parameters.split(",")]
    return [(kind.strip(), name) for kind, name in (re.fullmatch(r"(.*?\W)(\w+)", word).groups() for word in declared)]


def argument(function: str, kind: str, name: str, number: int, pointers: list[str], array: bool) -> str:
    """The C expression for a parameter: handles[h], numbers[n], or a buffer filled as `f` says, NULL where `m` says."""
    if kind in HANDLES:
        return f"({kind})h_{number}"
    if not kind.endswith("*"):
        return f"({kind}){'lengths' if name in LENGTHS or name == 'timeoutms' else 'numbers'}[n]"
    pointers.append(name)
    null = f"m & {1 << (len(pointers) - 1)}u ? NULL : "
    pointed = kind.removeprefix("const ").removesuffix("*").strip()
    if kind == "const char *":
        return f"{null}texts[f]"
    if pointed == "unsigned int" and re.search(r"[cC]ount$", name):
        return f"{null}room({len(pointers) - 1}, f)"
    version = re.search(r"_v(\d)_t$", pointed)
    elements = {
        "char": "64" if function.endswith("GspFirmwareVersion") else "lengths[n]",
        "unsigned long": "lengths[n]",
    }
    count = elements.get(pointed, str(ELEMENTS) if array else "1")
    return (
        f"{null}({kind})fresh({len(pointers) - 1}, f, sizeof({pointed}), {count}, "
        f"sizeof({pointed}) | {version[1] if version else 0}u << 24)"
    )


def loop(function: str, parameters: str) -> str:
    """All calls of a function: every handle, fill of buffers, number, and choice of NULL pointers."""
    declared = words(parameters)
    array = sum(kind.endswith("*") for kind, _unused in declared) > 1 or any(
        name in LENGTHS for _unused, name in declared
    )
    pointers: list[str] = []
    arguments = [argument(function, *word, i, pointers, array) for i, word in enumerate(declared)]
    choices = []
    for i, (kind, _unused) in enumerate(declared):
        if kind in HANDLES:
            mine = {
                "nvmlGpuInstance_t": "gpu_instance",
                "nvmlComputeInstance_t": "compute_instance",
                "nvmlEventSet_t": "set",
                "nvmlGpmSample_t": "sample",
            }.get(kind, "handles[7]")
            choices.append(f"void *h_{i} = h < HANDLES - 1 ? handles[h] : (void *){mine};")
    return f"""
    for (unsigned h = 0; h < {"HANDLES" if choices else "1"}; h++)
        for (unsigned f = 0; f < FILLS; f++)
            for (unsigned n = 0; n < NUMBERS; n++)
                for (unsigned m = 0; m < {1 << len(pointers)}; m++) {{
                    prepare(&gpu_instance, &compute_instance);
                    nvmlEventSetCreate(&set);
                    nvmlGpmSampleAlloc(&sample);
                    {" ".join(choices)}
                    check("{function}", {function}({", ".join(arguments)}));
                    nvmlEventSetFree(set);
                    nvmlGpmSampleFree(sample);
                    (void)f, (void)n, (void)m, (void)h;
                }}"""


def compile_sanitized(source: Path, build: Path) -> Path:
    """Compile a C program together with the library's own objects, all under sanitizers."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler (cc)")
    objects = [path for path in (build / "objects").glob("*.o") if not path.name.startswith(("command", "smi_"))]
    options = ["-std=c11", "-D_GNU_SOURCE", "-O0", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
    options += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = source.with_suffix("")
    command = [compiler, *options, f"-I{SOURCES}", "-o", str(program), str(source), *map(str, objects)]
    subprocess.run(command, check=True)
    return program


def test_any_argument_gets_an_nvml_code(sanitized_build, host, tmp_path):
    functions = FUNCTION.findall((SOURCES / "nvml_functions.h").read_text())
    unsupported = UNSUPPORTED.findall((SOURCES / "nvml_unsupported.h").read_text())
    assert len(functions) > 200 and len(unsupported) > 150
    session = ("nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags", "nvmlShutdown")
    early = {name: ", ".join(["0"] * len(words(parameters))) for name, parameters in functions if name not in session}
    uninitialised = [
        f'expect("{name} before nvmlInit", NVML_ERROR_UNINITIALIZED, {name}({arguments}));'
        for name, arguments in {**early, **dict.fromkeys(unsupported, "")}.items()
    ]
    answers = [f'expect("{name}", NVML_ERROR_NOT_SUPPORTED, {name}());' for name in unsupported]
    parts = {
        "elements": str(ELEMENTS),
        "uninitialised": "\n    ".join(uninitialised),
        "calls": "".join(loop(name, parameters) for name, parameters in functions if name not in session),
        "unsupported": "\n    ".join(answers),
    }
    source = PROGRAM.replace("@declarations@", "".join(f"nvmlReturn_t {name}(void);\n" for name in unsupported))
    for name, part in parts.items():
        source = source.replace(f"@{name}@", part)
    (tmp_path / "every_function.c").write_text(source)
    program = compile_sanitized(tmp_path / "every_function.c", sanitized_build)
    host.command("init", "--mig", "--driver", "615.71.05", "A100-SXM4-40GB", "L40S-48GB")  # has them all
    done = subprocess.run(
        [str(program)], env=host.environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert int(done.stdout.split()[0]) > 5000
