# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold for any text that reaches a parser: a valid value, or a clean error and nothing was done.

Each function of TARGETS takes a text and raises where that does not hold. It returns whether the text was valid, and
None where it did not come to the parser, because it is no YAML.
"""

from __future__ import annotations

import contextlib

import yaml
from model_gpu import A30, A100, H100, RTX, ModelPort, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.transaction import change
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted, to_mig_parted
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.parsing import parse_profile
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.selectors import select_gpus
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Gpu
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_modes
from ansible_collections.gpufleet.mig.plugins.plugin_utils import mig_parted as files

# A busy A100, one that is empty, one with MIG off, an RTX, an A30 and one without MIG.
GPUS = (
    gpu(A100, [gpu_instance(2, "3g.20gb", 4, 4), gpu_instance(7, "1g.5gb", 0, 1, ("1g.5gb", 0, 1, True))]),
    gpu(A100, index=1),
    gpu(H100, index=2, mig=False),
    gpu(RTX, index=3),
    gpu(A30, index=4),
    Gpu(5, "GPU-5", "00000000:0C:00.0", "NVIDIA L40S"),
)
LONGEST_MESSAGE = 2000


class NoLock:
    """Stands for a host's state directory, which here nobody shares."""

    lock = staticmethod(lambda timeout: contextlib.nullcontext())
    interrupted = staticmethod(lambda: None)


def layouts(text):
    """A layout is reached, or refused, or an error; where it is not reached, no step was done."""
    data, is_yaml = _yaml(text)
    if not is_yaml:
        return None
    port = ModelPort(*GPUS)

    def reach(decide):
        entries = validate_layout(data)
        made = change(lambda: port, lambda snapshot: decide(snapshot, entries), NoLock, 0, Options())
        assert all(0 < len(refusal.message) < LONGEST_MESSAGE for refusal in made.refusals), made.refusals
        assert not (made.refusals and port.executed)
        assert not any(outcome.failure for outcome in made.outcomes), made.outcomes
        port.executed.clear()

    valid = [_is_valid(reach, decide) for decide in (decide_modes, decide_instances)]
    assert not port.executed
    return all(valid)


def profile_names(text):
    """A profile name means the same when it is written the short way."""

    def parse():
        profile = parse_profile(text, "profile")
        assert parse_profile(profile.name, "profile") == profile
        assert 1 <= profile.compute <= profile.slices

    return _is_valid(parse)


def selectors(text):
    """Selectors, as a text and as the YAML that it is, name GPUs of the host, each once, by index."""

    def select(value):
        for mig_capable_only in (False, True):
            found = select_gpus(value, GPUS, mig_capable_only)
            assert list(found) == [gpu for gpu in GPUS if gpu in found]

    data, is_yaml = _yaml(text)
    valid = [_is_valid(select, value) for value in ([text, data] if is_yaml else [text])]
    return any(valid)


def mig_parted_files(text):
    """A file's layout is a valid one, and what can be written back as a file is valid again."""

    data = []

    def read():
        data.append(files._data(text))

    def take(label):
        layout = from_mig_parted(data[0], label)
        assert validate_layout(layout)
        _is_valid(lambda: validate_layout(from_mig_parted(to_mig_parted(layout, "again"))))

    valid = _is_valid(read) and [_is_valid(take, label) for label in (None, "all", "custom")]
    return bool(valid) and any(valid)


TARGETS = {target.__name__: target for target in (layouts, profile_names, selectors, mig_parted_files)}


def _is_valid(function, *arguments):
    """Whether a function does without an error; the error must be of our own kind, with a message for an operator."""
    try:
        function(*arguments)
    except MigError as error:
        assert 0 < len(str(error)) < LONGEST_MESSAGE, str(error)
        return False
    return True


def _yaml(text):
    """(what a text is as YAML, whether it is YAML)."""
    try:
        return yaml.load(text, yaml.CSafeLoader), True
    except Exception:  # besides YAMLError, what PyYAML lets through for tags and dates that are none
        return None, False
