# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name, also where nvidia-ml-py is missing; documented in plugins/modules."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.plugin_utils.lending import ActionModule

__all__ = ["ActionModule"]
