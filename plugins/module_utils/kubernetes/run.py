# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What k8s_evict does, on the controller: from its options to its result, through one client of the API server."""

from __future__ import annotations

import traceback

from ..visible import said
from .eviction import NodePods, Refused, blocked, choose, evict
from .eviction_rules import Rules, name_of, place

MISSING = None
try:
    from urllib3.exceptions import HTTPError

    import kubernetes
except ImportError:
    MISSING = traceback.format_exc()


def eviction(given, check_mode):
    """Evict the pods that the options ``given`` choose, or in check mode only say which: the module's result.

    Raises Refused, also for a cluster that does not answer or refuses.
    """
    try:
        return _eviction(given, check_mode)
    except kubernetes.config.ConfigException as error:
        raise Refused(f"No Kubernetes cluster to ask: {error}. Set kubeconfig, and context if need be.") from error
    except kubernetes.client.ApiException as error:
        answer = f"{error.status} {error.reason}. {said(error.body or '')}"
        raise Refused(f"The API server refused a request: {answer}") from error
    except HTTPError as error:
        raise Refused(f"The API server did not answer: {error}") from error


def _eviction(given, check_mode):
    client = _client(given["kubeconfig"], given["context"])
    node = NodePods(
        given["node"],
        kubernetes.client.CoreV1Api(client),
        kubernetes.client.AppsV1Api(client),
        kubernetes.client.ApiException,
    )
    rules = Rules(
        given["ignore_daemonsets"],
        given["force"],
        given["delete_emptydir_data"],
        tuple(given["ignore_node_selectors"]),
    )
    chosen = choose(node, rules, given["pods"])
    result = {
        "changed": bool(chosen.pods),
        "pods": [dict(zip(("namespace", "name"), place(pod)), uid=pod["metadata"]["uid"]) for pod in chosen.pods],
        "remarks": chosen.remarks,
        "diff": {"before": "".join(f"{name_of(pod)}\n" for pod in chosen.pods), "after": ""},
    }
    if check_mode:
        return dict(result, blocked=blocked(node, chosen.pods))
    evict(node, chosen.pods, given["timeout"])
    return result


def _client(kubeconfig, context):
    """A client in the order of kubernetes.core: what is named, else the cluster that this runs in, else the usual."""
    configuration = kubernetes.client.Configuration()
    in_cluster = not (kubeconfig or context)
    if in_cluster:
        try:
            kubernetes.config.load_incluster_config(client_configuration=configuration)
        except kubernetes.config.ConfigException:
            in_cluster = False
    if not in_cluster:
        kubernetes.config.load_kube_config(kubeconfig, context, client_configuration=configuration)
    return kubernetes.client.ApiClient(configuration)
