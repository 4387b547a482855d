# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables by which ansible-core reaches a host: which programs it runs here, and through which socket."""

from __future__ import annotations

import functools

from ansible import constants
from ansible.plugins.loader import become_loader, connection_loader, shell_loader

PLUGINS = (
    ("connection", connection_loader, ("ssh", "local")),
    ("become", become_loader, ("sudo", "su")),
    ("shell", shell_loader, ("sh",)),
)


@functools.cache
def connection_variables():
    """Their names, as this ansible-core's plugins have them.

    It removes some of them from what a host answers as facts, and ansible_sftp_executable, ansible_control_path and
    others not (clean_facts).
    """
    names = set()
    for kind, loader, plugins in PLUGINS:
        for plugin in plugins:
            loader.get(plugin, class_only=True)
            names.update(constants.config.get_plugin_vars(kind, plugin))
    return frozenset(name for name in names if name.startswith("ansible_"))


def planted_connection(facts):
    """Those of a host's facts (``ansible_facts``) that are such variables, with or without ansible_ before, sorted."""
    return sorted(str(name) for name in facts if {str(name), f"ansible_{name}"} & connection_variables())
