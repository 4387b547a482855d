# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads configuration files of nvidia-mig-parted. Pure."""

from __future__ import annotations

import yaml

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted


def read_mig_parted(value, label=None):
    """The layout of a configuration in such a file. Raises LayoutError.

    :param value: the file's text, or its data
    :param label: which of its mig-configs; may be left out where there is only one
    """
    return from_mig_parted(_data(value) if isinstance(value, str) else value, label)


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which YAML would silently keep the last."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _data(text):
    # JSON is YAML but for tabs between its tokens, which are the only tabs that it may have.
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # besides YAMLError, what PyYAML lets through for tags such as !!int on what is none
        raise LayoutError(f"nvidia-mig-parted configuration: cannot be read as YAML or JSON: {error}") from error
