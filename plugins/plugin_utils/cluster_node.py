# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node of a host in a Kubernetes cluster. Pure."""

from __future__ import annotations


def no_node(node, host, option):
    """That a cluster does not have the node of ``host``, of which ``option`` is the variable: a sentence."""
    return f"The cluster has no node {node}. Set {option} for {host} to the name that kubectl get nodes shows."
