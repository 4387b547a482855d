# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Naming GPUs: ``all``, an index, a UUID or a PCI address, as the ``gpus`` options take them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import LayoutError
from ..visible import shown
from .parsing import as_list, as_text

INDEX = re.compile(r"[0-9]{1,9}")
UUID = re.compile(r"GPU-[0-9a-z-]{1,92}", re.IGNORECASE)
YAML_NUMBER = re.compile(r"[0-9]+\.[0-9]*")
PCI_ADDRESS = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])", re.IGNORECASE)
EXPECTED = "expected all, an index (0), a UUID (GPU-...) or a PCI address in quotes ('07:00.0')"


class Selector(NamedTuple):
    """A name of one GPU; ``key`` is an index, a UUID in lower case or a PCI address in numbers (no domain: None)."""

    where: str
    text: str
    key: int | str | tuple

    def matches(self, gpu):
        """True where it names this Gpu."""
        if isinstance(self.key, int):
            return gpu.index == self.key
        if isinstance(self.key, str):
            return gpu.uuid.lower() == self.key
        numbers = _pci_numbers(gpu.pci_address)
        return numbers is not None and numbers[1:] == self.key[1:] and self.key[0] in (None, numbers[0])


def parse_selectors(selectors, where="gpus"):
    """Check the names of GPUs without looking at any GPU.

    :param selectors: one selector or a list of them; None means ``all``
    :param where: how messages call the option
    :returns: a tuple of Selector, or None for ``all``
    :raises LayoutError: for anything else
    """
    if selectors is None:
        return None
    items = as_list(selectors)
    if not items:
        raise LayoutError(f"{where}: the list is empty; {EXPECTED}")
    if len(items) == 1 and isinstance(items[0], str) and items[0].strip().lower() == "all":
        return None
    one = len(items) == 1 and not isinstance(selectors, (list, tuple))
    return tuple(_parse_selector(item, where if one else f"{where}[{number}]") for number, item in enumerate(items))


def find_gpus(selectors, gpus):
    """The GPUs that are named, MIG-capable or not.

    :param selectors: a tuple of Selector
    :param gpus: the Gpu values of this host
    :returns: a list of (Gpu, the Selector that named it), in index order, each GPU once
    :raises LayoutError: where a name fits none of them, or more than one
    """
    found = {}
    for selector in selectors:
        fitting = [gpu for gpu in gpus if selector.matches(gpu)]
        if not fitting:
            raise LayoutError(
                f"{selector.where}: there is no GPU {selector.text} on this host, which has {_names(gpus)}"
            )
        if len(fitting) > 1:
            raise LayoutError(f"{selector.where}: {selector.text} fits {_names(fitting)}; write the PCI domain too")
        found[fitting[0].index] = fitting[0], selector
    return [found[index] for index in sorted(found)]


def require_mig_capable(found, gpus):
    """Refuse GPUs without MIG; of one that could not be read (``problem``) nobody knows.

    :param found: what find_gpus returned
    :param gpus: the Gpu values of this host, to say which could be named instead
    :raises LayoutError: where one of those found is not MIG-capable
    """
    for gpu, selector in found:
        if not gpu.mig_capable and not gpu.problem:
            capable = _names(other for other in gpus if other.mig_capable)
            from ..driver_releases import vbios_of_compute_mode  # needed only to explain

            vbios = vbios_of_compute_mode(gpu.pci_device_id)
            why = f" (in display mode, or with a VBIOS before {vbios}, it has no MIG)" if vbios else ""
            raise LayoutError(
                f"{selector.where}: {gpu.name} is not MIG-capable{why}; MIG-capable on this host: {capable}"
            )


def select_gpus(selectors, gpus, mig_capable_only=True, where="gpus"):
    """The GPUs that selectors name.

    :param selectors: one selector or a list of them, as a user writes them; None means ``all``
    :param gpus: the Gpu values of this host
    :param mig_capable_only: ``all`` means MIG-capable GPUs only, and naming another one is an error
    :param where: how messages call the option
    :returns: a tuple of Gpu in index order, each once
    :raises LayoutError: for a selector that is malformed, or names a GPU that is absent or not MIG-capable
    """
    parsed = parse_selectors(selectors, where)
    if parsed is None:
        return tuple(gpu for gpu in in_order(gpus) if gpu.mig_capable or not mig_capable_only)
    found = find_gpus(parsed, gpus)
    if mig_capable_only:
        require_mig_capable(found, gpus)
    return tuple(gpu for gpu, _selector in found)


def in_order(gpus):
    """The GPUs by index."""
    return sorted(gpus, key=lambda gpu: gpu.index)


def _names(gpus):
    return "; ".join(gpu.name for gpu in in_order(gpus)) or "none"


def _pci_numbers(text):
    found = PCI_ADDRESS.fullmatch(text)
    return found and tuple(None if part is None else int(part, 16) for part in found.groups())


def _parse_selector(value, where):
    """A Selector, for anything but ``all``."""
    text = as_text(value)
    if INDEX.fullmatch(text):
        return Selector(where, text, int(text))
    if UUID.fullmatch(text):
        return Selector(where, text, text.lower())
    if _pci_numbers(text):
        return Selector(where, text, _pci_numbers(text))
    if text.lower() == "all":
        raise LayoutError(f"{where}: all stands alone; name single GPUs, or write only all")
    if text.upper().startswith("MIG-"):
        raise LayoutError(f"{where}: {shown(text)} is a MIG device; write the UUID of its GPU (GPU-...)")
    if isinstance(value, float) or YAML_NUMBER.fullmatch(text):
        raise LayoutError(
            f"{where}: got the number {shown(value)}; if this was a PCI address such as 07:00.0, put it in quotes,"
            " without them YAML reads it as a number"
        )
    raise LayoutError(f"{where}: got {shown(value)}; {EXPECTED}")
