# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nvml.h is binary compatible with NVIDIA's: sizes, offsets and constants as nvidia-ml-py has them."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pynvml
import pytest

HEADERS = Path(__file__).parents[2] / "roles" / "mig_simulator" / "files"
STRUCT = re.compile(r"^typedef (?:struct|union) \{(.*?)^\} (nvml\w+);", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r"(\w+)(?:\[\w+\])*;$", re.MULTILINE)
NESTED = re.compile(r"(?:struct|union) \{[^}]*\} ")
COMMENT = re.compile(r" */\*.*?\*/", re.DOTALL)

# Structs that nvidia-ml-py lacks, as NVIDIA's nvml.h has them: those of R450's functions and the newest profile info.
ABSENT = {
    "nvmlGpuInstanceProfileInfo_v3_t": [(str(i), ctypes.c_uint) for i in range(10)]
    + [("memorySizeMB", ctypes.c_ulonglong), ("name", ctypes.c_char * 96), ("capabilities", ctypes.c_uint)],
    "nvmlComputeInstanceProfileInfo_v3_t": [(str(i), ctypes.c_uint) for i in range(10)]
    + [("name", ctypes.c_char * 96), ("capabilities", ctypes.c_uint)],
    "nvmlProcessInfo_v1_t": [("pid", ctypes.c_uint), ("usedGpuMemory", ctypes.c_ulonglong)],
    "nvmlDeviceAttributes_v1_t": [(str(i), ctypes.c_uint) for i in range(6)],
    "nvmlComputeInstanceInfo_v1_t": [
        ("device", ctypes.c_void_p),
        ("gpuInstance", ctypes.c_void_p),
        ("id", ctypes.c_uint),
        ("profileId", ctypes.c_uint),
    ],
    "nvmlEventData_v1_t": [
        ("device", ctypes.c_void_p),
        ("eventType", ctypes.c_ulonglong),
        ("eventData", ctypes.c_ulonglong),
    ],
}

# Where nvidia-ml-py uses a name of its own.
RENAMED = {
    "nvmlDeviceAttributes_t": "c_nvmlDeviceAttributes",
    "nvmlRowRemapperHistogramValues_t": "c_nvmlRowRemapperHistogramValues",
    "nvmlEncoderSessionInfo_t": "c_nvmlEncoderSession_t",
    "nvmlFBCSessionInfo_t": "c_nvmlFBCSession_t",
    "nvmlProcessInfo_t": "c_nvmlProcessInfo_v3_t",
    "nvmlGridLicensableFeature_t": "c_nvmlGridLicensableFeature_v4_t",
    "nvmlGridLicensableFeatures_t": "c_nvmlGridLicensableFeatures_v4_t",
    "nvmlDeviceAddressingMode_v1_t": "c_nvmlDeviceAddressingMode_t",
    "nvmlRepairStatus_v1_t": "c_nvmlRepairStatus_t",
    "nvmlUUID_v1_t": "c_nvmlUUID_t",
}

# Fields that nvidia-ml-py declares wider than nvml.h does, over what is padding there: (struct, field).
WIDER_IN_PYTHON = {
    ("nvmlGpuFabricInfo_t", "state"),
    ("nvmlGpuFabricInfo_v2_t", "state"),
    ("nvmlGpuFabricInfo_v3_t", "state"),
}


def header_text() -> str:
    return COMMENT.sub("", "".join(path.read_text() for path in sorted(HEADERS.glob("nvml*.h"))))


def header_structs() -> dict[str, list[str]]:
    """Name of every struct in the headers -> names of its members, in order."""
    return {name: FIELD.findall(NESTED.sub("", body)) for body, name in STRUCT.findall(header_text())}


def header_constants() -> list[str]:
    text = header_text()
    defined = re.findall(r"^#define (nvml(?:Event|Clocks)\w+|NVML_\w+) \w", text, re.MULTILINE)
    enumerated = re.findall(r"\b(NVML_\w+) = ", text)
    return defined + enumerated


def python_struct(name: str) -> type[ctypes.Structure | ctypes.Union]:
    if name in ABSENT:
        return type(name, (ctypes.Structure,), {"_fields_": ABSENT[name]})
    for candidate in (RENAMED.get(name), f"c_{name}", name):
        found = candidate and getattr(pynvml, candidate, None)
        if found:
            return found
    raise AssertionError(f"nvidia-ml-py {pynvml.__name__} has no struct for {name}: add it to RENAMED or ABSENT")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> dict[str, int]:
    """What the compiler says: 'struct' -> size, 'struct.field' -> offset, 'struct.field size', 'CONSTANT' -> value."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler (cc or gcc)")
    lines = []
    for struct, fields in header_structs().items():
        lines.append(f'printf("{struct}=%zu\\n", sizeof({struct}));')
        for field in fields:
            lines.append(f'printf("{struct}.{field}=%zu\\n", offsetof({struct}, {field}));')
            lines.append(f'printf("{struct}.{field} size=%zu\\n", sizeof((({struct} *)0)->{field}));')
    lines += [f'printf("{name}=%lld\\n", (long long)({name}));' for name in header_constants()]
    folder = tmp_path_factory.mktemp("abi")
    source = folder / "abi.c"
    head = '#include <stddef.h>\n#include <stdio.h>\n#include "nvml.h"\n'
    source.write_text(head + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}", str(source), "-o", str(folder / "abi")],
        check=True,
    )
    output = subprocess.run([str(folder / "abi")], check=True, capture_output=True, text=True).stdout
    return {key: int(value) for key, value in (line.split("=") for line in output.splitlines())}


@pytest.mark.parametrize("struct", sorted(header_structs()))
def test_struct_layout_is_that_of_nvidia_ml_py(compiled, struct):
    python = python_struct(struct)
    fields = header_structs()[struct]
    assert compiled[struct] == ctypes.sizeof(python)
    for field, (python_name, *_unused) in zip(fields, python._fields_, strict=True):
        descriptor = getattr(python, python_name)
        assert compiled[f"{struct}.{field}"] == descriptor.offset, field
        if (struct, field) not in WIDER_IN_PYTHON:
            assert compiled[f"{struct}.{field} size"] == descriptor.size, field


def test_every_struct_that_a_function_takes_is_compared():
    text = header_text()
    taken = set(re.findall(r"\b(nvml\w+_t) \*", text))
    no_structs = set(re.findall(r"^typedef (?!struct \{|union \{).*?\b(nvml\w+_t);", text, re.MULTILINE))
    no_structs |= set(re.findall(r"^typedef enum \{.*?\} (nvml\w+);", text, re.MULTILINE | re.DOTALL))
    assert taken - no_structs <= set(header_structs())
    assert len(header_structs()) > 50


# The capability bits that nvidia-ml-py lacks.
CAPABILITIES = {
    "NVML_GPU_INSTANCE_PROFILE_CAPS_P2P": 1,
    "NVML_GPU_INSTANCE_PROFILE_CAPS_GFX": 2,
    "NVML_COMPUTE_INSTANCE_PROFILE_CAPS_GFX": 1,
}


@pytest.mark.parametrize("constant", sorted(set(header_constants())))
def test_constant_is_that_of_nvidia_ml_py(compiled, constant):
    value = getattr(pynvml, constant, CAPABILITIES.get(constant))
    if isinstance(value, tuple):  # nvidia-ml-py has stray commas after some
        (value,) = value
    assert value == compiled[constant]
