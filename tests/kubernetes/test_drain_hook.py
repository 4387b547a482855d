# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drain hook kubernetes against a real control plane, as a ServiceAccount with the documented rights alone."""

from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from drain_hooks import tasks_file
from kills import killed_at_each_task
from kubernetes_cluster import pod
from layouts import profiles
from paths import ROOT

RESTORE = "gpufleet.mig.restore"
EVICT = "gpufleet.mig.k8s_evict"
LABEL = "nvidia.com/gpu.deploy."
PAUSED = "paused-for-mig-change"
WAIT = {"name": "Wait for the test", "ansible.builtin.wait_for": {"path": "{{ go_on }}"}}
TOLERATION = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}


def role(entry):
    """A play that runs an entry point of the role."""
    include = {"name": "gpufleet.mig.mig_drain", "tasks_from": entry}
    tasks = [{"name": entry, "ansible.builtin.include_role": include}]
    return [{"name": entry, "hosts": "all", "gather_facts": False, "tasks": tasks}]


def would(run):
    """What a run in check mode says of who would be moved."""
    return run.results("ansible.builtin.debug")[-1]["result"]["msg"]


def reason(run):
    """With which message the host failed."""
    return run.results("ansible.builtin.fail")[-1]["result"]["msg"]


@pytest.fixture(scope="module")
def rights(kubernetes_cluster):
    """The kubeconfig of the ServiceAccount of docs/kubernetes-rbac.yml."""
    kubernetes_cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
    return kubernetes_cluster.service_account("mig-drain", "gpufleet-mig")


@pytest.fixture(scope="module")
def numbers():
    return itertools.count()


class Place:
    """A host, its node, and two namespaces of its own."""

    def __init__(self, cluster, host, run_playbook, rights):
        self.cluster = cluster
        self.host = host
        self.namespaces = f"{host.name}-a", f"{host.name}-b"
        self._run_playbook = run_playbook
        host.more_variables = {
            "mig_drain_hooks": ["kubernetes"],
            "mig_drain_kubernetes_kubeconfig": str(rights),
            "mig_drain_deadline": 60,
        }
        cluster.add_nodes(host.name)
        for namespace in self.namespaces:
            cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            cluster.wait("create", "serviceaccount/default", namespace=namespace)

    def drain(self, *in_the_way, check=False, kill_at=None, **variables):
        """Start a drain of these pods, each (namespace, name)."""
        must_be_free = [self.blocker(*one) for one in in_the_way]
        variables = {"mig_drain_must_be_free": must_be_free, **variables}
        return self._run_playbook(role("drain"), [self.host], check=check, kill_at=kill_at, extra_vars=variables)

    def restore(self, **variables):
        """Start the restoring of what is drained."""
        return self._run_playbook(RESTORE, [self.host], extra_vars=variables)

    def blocker(self, namespace, name):
        """A busy MIG device: its process is known by the pod's UID, as the cgroup tells it."""
        known = {"uid": self.uid(namespace, name), "namespace": None, "name": None}
        processes = [{"pid": 4711, "pod": known}, {"pid": 4712, "pod": None}]
        return {"uid": "MIG-1", "because": "busy", "processes": processes, "allocated_to": []}

    def uid(self, namespace, name):
        return self.cluster.get("pod", name, namespace=namespace)["metadata"]["uid"]

    def replicated(self, namespace, name, replicas=1, **spec):
        """Pods on the node that a ReplicaSet replaces, running when this returns: their names."""
        self.cluster.apply(self._workload("ReplicaSet", namespace, name, {}, spec, replicas=replicas))
        self.cluster.wait(f"jsonpath={{.status.readyReplicas}}={replicas}", f"replicaset/{name}", namespace=namespace)
        return [pod for pod in self.pods(namespace) if pod.startswith(f"{name}-")]

    def daemonset(self, namespace, name, selector=None):
        """A DaemonSet's pod on the node, running when this returns: its name."""
        self.cluster.apply(self._workload("DaemonSet", namespace, name, selector or {}, {}))
        self.cluster.wait("jsonpath={.status.numberReady}=1", f"daemonset/{name}", namespace=namespace)
        return self.pods(namespace)[0]

    def _workload(self, kind, namespace, name, selector, spec, **more):
        nodes = {"kubernetes.io/hostname": self.host.name, **selector}
        template = pod(name, namespace=namespace, labels={"app": name}, nodeSelector=nodes, **spec)
        return {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
                **more,
            },
        }

    def budget(self, namespace, name, app, minimum):
        """A PodDisruptionBudget in force."""
        spec = {"minAvailable": minimum, "selector": {"matchLabels": {"app": app}}}
        metadata = {"name": name, "namespace": namespace}
        self.cluster.apply(
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
        )
        self.cluster.wait("jsonpath={.status.observedGeneration}=1", f"pdb/{name}", namespace=namespace)

    def patch(self, what, change, namespace="default"):
        self.cluster.kubectl("patch", f"--namespace={namespace}", what, "--type=merge", f"--patch={json.dumps(change)}")

    @contextlib.contextmanager
    def held(self):
        """No pod of the cluster ends meanwhile, whatever it is told, as where a kubelet hangs."""
        self.cluster.stop("kwok")
        try:
            yield
        finally:
            self.cluster.start("kwok")

    def until_evicted(self, namespace, name):
        self.cluster.wait("jsonpath={.metadata.deletionTimestamp}", f"pod/{name}", namespace=namespace)

    def label(self, **values):
        """Give the node labels of the GPU Operator."""
        labels = {LABEL + name.replace("_", "-"): value for name, value in values.items()}
        self.patch(f"node/{self.host.name}", {"metadata": {"labels": labels}})

    def labels(self):
        """The node's labels of the GPU Operator, {last part: value}."""
        labels = self.cluster.get("node", self.host.name)["metadata"]["labels"]
        return {name[len(LABEL) :]: value for name, value in labels.items() if name.startswith(LABEL)}

    def cordoned(self):
        return self.cluster.get("node", self.host.name)["spec"].get("unschedulable", False)

    def until_cordoned(self):
        self.cluster.wait("jsonpath={.spec.unschedulable}=true", f"node/{self.host.name}")

    def pods(self, *namespaces):
        """The names of the pods there are, of both namespaces."""
        found = [self.cluster.get("pods", namespace=one)["items"] for one in namespaces or self.namespaces]
        return sorted(one["metadata"]["name"] for items in found for one in items)

    def uids(self):
        """{UID of each pod that runs in the namespaces: how often its containers were restarted}."""
        found = [self.cluster.get("pods", namespace=one)["items"] for one in self.namespaces]
        return {
            one["metadata"]["uid"]: [container["restartCount"] for container in one["status"]["containerStatuses"]]
            for items in found
            for one in items
            if one["status"]["phase"] == "Running"
        }

    def remembered(self):
        """What drain.json says the hook did, None where nothing is drained."""
        path = self.host.state_dir / "drain.json"
        if not path.exists():
            return None
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
        return [entry["done"] for entry in entries]


@pytest.fixture
def place(kubernetes_cluster, simulated_host, run_playbook, rights, numbers):
    return Place(kubernetes_cluster, simulated_host(name=f"gpu-{next(numbers)}"), run_playbook, rights)


def test_only_the_pods_in_the_way_go_and_the_node_is_back_afterwards(place):
    one, two = place.namespaces
    place.label(dcgm="true", nvsm="false")
    web, _other = place.replicated(one, "web", 2)
    train, other = place.replicated(two, "train", 2)
    gone = {place.uid(one, web), place.uid(two, train)}
    stay = {uid: state for uid, state in place.uids().items() if uid not in gone}
    allocated = {"uid": place.uid(two, train), "namespace": two, "name": train}
    # By its name alone no pod is known, and by what a process claims none either.
    named = {"uid": None, "namespace": two, "name": other}
    claims = {
        "pid": 4713,
        "pod": None,
        "claimed": {"pod": {"uid": place.uid(two, other), "namespace": None, "name": None}},
    }
    waiting = {"uid": "MIG-2", "because": "allocated", "processes": [claims], "allocated_to": [allocated, named]}
    in_the_way = {"mig_drain_must_be_free": [place.blocker(one, web), waiting]}

    foretold = place.drain(check=True, **in_the_way).ok()
    assert f"Evicted would be {one}/{web}, {two}/{train}." in would(foretold)
    assert f"Paused would be what selects the node by {LABEL}dcgm." in would(foretold)
    assert place.labels() == {"dcgm": "true", "nvsm": "false"}
    assert set(place.uids()) == gone | set(stay)
    assert (place.cordoned(), place.remembered()) == (False, None)

    run = place.drain(**in_the_way).ok()
    assert {one["uid"] for one in run.result(EVICT)["pods"]} == gone
    assert place.uids() == stay
    assert place.cordoned()
    assert place.remembered() == [{"node": place.host.name, "cordoned": True, "paused": [f"{LABEL}dcgm"]}]

    place.restore().ok()
    assert (place.cordoned(), place.remembered()) == (False, None)
    place.cluster.wait("jsonpath={.status.readyReplicas}=2", "replicaset/web", namespace=one)
    again = place.restore().ok()
    assert not [one for one in again.results() if "kubernetes.core" in one["action"]]


@pytest.mark.prove
def test_a_budget_in_the_way_is_named_and_nothing_is_changed(place):
    one, two = place.namespaces
    web, _other = place.replicated(one, "web", 2)
    (train,) = place.replicated(two, "train")
    place.budget(one, "web", "web", 2)
    before = place.uids()

    foretold = place.drain((one, web), (two, train), check=True).ok()
    assert list(foretold.result(EVICT)["blocked"]) == [f"{one}/{web}"]
    assert f"PodDisruptionBudget {one}/web allows 0 disruptions" in would(foretold)

    run = place.drain((one, web), (two, train), mig_drain_deadline=2).failed()
    message = reason(run)
    budget = f"PodDisruptionBudget {one}/web allows 0 disruptions: it needs 2 healthy pods and has 2 currently"
    assert f"pod {one}/{web}: {budget}" in message
    assert "No other pod was evicted" in message
    assert place.uids() == before
    assert (place.cordoned(), place.remembered()) == (False, None)


@pytest.mark.prove
def test_a_budget_is_waited_for_until_it_allows_each_pod(place):
    one, _two = place.namespaces
    first, second, _third = pods = place.replicated(one, "web", 3)
    place.budget(one, "web", "web", 3)
    run = place.drain((one, first), (one, second))
    place.until_cordoned()
    place.patch("pdb/web", {"spec": {"minAvailable": 2}}, one)
    # The second may go once the first is replaced: here by a pod that may run where the node is cordoned.
    place.cluster.wait("jsonpath={.status.readyReplicas}=2", "replicaset/web", namespace=one)
    place.cluster.wait("jsonpath={.status.replicas}=3", "replicaset/web", namespace=one)
    (new,) = set(place.pods(one)) - set(pods)
    tolerate = [{"op": "add", "path": "/spec/tolerations/-", "value": TOLERATION}]
    place.cluster.kubectl("patch", f"--namespace={one}", f"pod/{new}", "--type=json", f"--patch={json.dumps(tolerate)}")
    run.ok()
    assert sorted(pod["name"] for pod in run.result(EVICT)["pods"]) == [first, second]
    assert len(place.uids()) == 2


def test_what_kubectl_drain_refuses_is_refused_before_anybody_goes(place):
    one, two = place.namespaces
    (train,) = place.replicated(two, "train")
    (emptydir,) = place.replicated(two, "scratch", volumes=[{"name": "scratch", "emptyDir": {}}])
    daemon = place.daemonset(one, "logs")
    unmanaged, static = (pod(name, namespace=two, nodeName=place.host.name) for name in ("unmanaged", "static"))
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0", "kubernetes.io/config.hash": "0"}
    place.cluster.apply(unmanaged, static)
    place.cluster.wait("condition=Ready", "pod/unmanaged", "pod/static", namespace=two)
    before = place.uids()

    everybody = [(one, daemon), *((two, name) for name in (train, emptydir, "unmanaged", "static"))]
    message = reason(place.drain(*everybody).failed())
    assert f"{two}/{emptydir} has emptyDir volumes, whose data is lost (delete_emptydir_data allows it)" in message
    assert f"{one}/{daemon} belongs to the DaemonSet logs" in message
    assert f"{two}/unmanaged has no controller" in message
    assert f"{two}/static is a static pod" in message
    assert train not in message
    assert place.uids() == before
    assert (place.cordoned(), place.remembered()) == (False, None)

    allowed = {"mig_drain_kubernetes_force": True, "mig_drain_kubernetes_delete_emptydir_data": True}
    run = place.drain((two, emptydir), (two, "unmanaged"), **allowed).ok()
    assert sorted(pod["name"] for pod in run.result(EVICT)["pods"]) == [emptydir, "unmanaged"]
    assert len(place.uids()) == 3


@pytest.mark.prove
def test_a_pod_has_its_grace_period_and_past_the_deadline_it_is_named(place):
    one, _two = place.namespaces
    slow, other = place.replicated(one, "slow", 2, terminationGracePeriodSeconds=300)
    with place.held():
        run = place.drain((one, slow), mig_drain_deadline=2).failed()
        message = reason(run)
        assert f"{one}/{slow}, which is evicted but has not ended yet (its grace period is 300 s)" in message
        assert (place.cordoned(), place.remembered()) == (False, None)

        run = place.drain((one, slow), (one, other))
        place.until_evicted(one, other)
    run.ok()


@pytest.mark.prove
def test_a_node_that_was_cordoned_before_stays_so(place):
    place.cluster.kubectl("cordon", place.host.name)
    place.drain().ok()
    assert place.remembered()[0]["cordoned"] is False
    place.restore().ok()
    assert place.cordoned()


@pytest.mark.prove
def test_what_somebody_else_has_changed_meanwhile_is_left_alone(place):
    place.label(dcgm="false", nvsm="true")
    paused = [f"{LABEL}dcgm", f"{LABEL}nvsm"]
    gone = "taken-from-the-cluster"
    done = [{"node": node, "cordoned": True, "paused": paused} for node in (place.host.name, gone)]
    entries = [{"hook": "kubernetes", "done": one} for one in (*done, {})]
    place.host.state_dir.mkdir()
    (place.host.state_dir / "drain.json").write_text(json.dumps({"version": 1, "entries": entries}), encoding="utf-8")
    # A node of another name is not the host's to choose; the message has what allows it.
    run = place.restore().failed()
    assert f"-l {place.host.name} -e '{json.dumps({'mig_drain_kubernetes_node': gone})}'" in reason(run)
    assert place.remembered() == [done[1]]
    again = place.restore(mig_drain_kubernetes_node=gone).ok()
    for one in (*run.results(), *again.results()):
        assert not ("k8s" in one["action"] and one["result"].get("changed")), one
    assert (place.labels(), place.cordoned()) == ({"dcgm": "false", "nvsm": "true"}, False)
    assert place.remembered() is None


@pytest.mark.prove
def test_the_gpu_operators_pods_are_paused_and_return_before_the_node_does(place):
    one, two = place.namespaces
    place.label(device_plugin="true", dcgm_exporter="true", gpu_feature_discovery="false", driver="true", nvsm="")
    plugin = place.daemonset(one, "plugin", {f"{LABEL}device-plugin": "true"})
    place.daemonset(two, "driver", {f"{LABEL}driver": "true"})
    others = {"driver": "true", "gpu-feature-discovery": "false", "nvsm": ""}

    # Also where it is what holds the GPU: it leaves by its label and is not evicted.
    run = place.drain((one, plugin)).ok()
    assert run.result(EVICT)["pods"] == []
    assert place.pods(one) == []
    assert len(place.pods(two)) == 1
    assert place.labels() == {"device-plugin": PAUSED, "dcgm-exporter": PAUSED, **others}

    assert [done["paused"] for done in place.remembered()] == [[f"{LABEL}dcgm-exporter", f"{LABEL}device-plugin"]]

    place.label(dcgm_exporter="false")
    stages = role("restore")
    stages[0]["tasks"][0]["vars"] = {"mig_drain_restore_stage": "clients"}
    place._run_playbook(stages, [place.host]).ok()
    assert place.labels() == {"device-plugin": "true", "dcgm-exporter": "false", **others}
    assert place.cordoned()
    place.cluster.wait("jsonpath={.status.numberReady}=1", "daemonset/plugin", namespace=one)

    place.restore().ok()
    assert (place.cordoned(), place.remembered()) == (False, None)
    assert place.labels() == {"device-plugin": "true", "dcgm-exporter": "false", **others}


@pytest.mark.prove
def test_a_paused_pod_that_does_not_end_is_a_failure_and_the_labels_are_back(place):
    one, _two = place.namespaces
    place.label(dcgm="true")
    name = place.daemonset(one, "dcgm", {f"{LABEL}dcgm": "true"})
    assert name in place.pods(one)
    with place.held():
        run = place.drain(mig_drain_deadline=3).failed()
    assert f"{LABEL}dcgm" in reason(run)
    assert (place.labels(), place.cordoned(), place.remembered()) == ({"dcgm": "true"}, False, None)


@pytest.mark.prove
def test_an_api_server_that_goes_in_the_middle(place):
    one, _two = place.namespaces
    (web,) = place.replicated(one, "web")
    place.budget(one, "web", "web", 1)
    run = place.drain((one, web))
    place.until_cordoned()
    place.cluster.stop("kube-apiserver")
    try:
        run.failed()
        assert "gpufleet.mig.restore" in reason(run)
        assert place.remembered()[0]["cordoned"] is True
    finally:
        place.cluster.start("kube-apiserver")
    assert place.cordoned()
    place.drain().ok()
    place.restore().ok()
    assert (place.cordoned(), place.remembered()) == (False, None)


@pytest.mark.prove
def test_a_controller_that_is_killed_is_made_good_by_restore(place):
    one, _two = place.namespaces
    place.label(dcgm="true")
    name = place.daemonset(one, "dcgm", {f"{LABEL}dcgm": "true"})
    with place.held():
        run = place.drain()
        place.until_evicted(one, name)
        run.kill()
    assert (place.cordoned(), place.labels()) == (True, {"dcgm": PAUSED})
    place.restore().ok()
    assert (place.labels(), place.cordoned(), place.remembered()) == ({"dcgm": "true"}, False, None)


@pytest.mark.prove
def test_killed_at_each_task(place, progress):
    one, _two = place.namespaces
    place.label(dcgm="true")
    place.replicated(one, "web", 2)

    def start(**options):
        return place.drain((one, place.pods(one)[0]), **options)

    def mend(repeated):
        if repeated:
            place.drain().ok()
        place.restore().ok()
        assert (place.labels(), place.cordoned(), place.remembered()) == ({"dcgm": "true"}, False, None)
        # Also after an eviction that a worker of the killed run still waits for.
        place.cluster.wait("jsonpath={.status.readyReplicas}=2", "replicaset/web", namespace=one)

    killed_at_each_task(progress, "a drain with the hook kubernetes", lambda: None, start, mend)


@pytest.mark.prove
def test_the_whole_node_where_that_is_wished(place):
    one, two = place.namespaces
    (web,) = place.replicated(one, "web")
    place.replicated(two, "train", 2)
    place.daemonset(two, "logs")
    options = {"mig_drain_kubernetes_scope": "node", "mig_drain_kubernetes_ignore_daemonsets": True}
    run = place.drain((one, web), **options).ok()
    assert len(run.result(EVICT)["pods"]) == 3
    assert len(place.uids()) == 1


@pytest.mark.prove
def test_a_change_cordons_and_a_run_without_one_asks_no_api(place, run_playbook, tmp_path):
    place.host.simulator("init", "--mig", "A100-SXM4-40GB")
    place.label(device_plugin="true")
    place.host.more_variables.update(
        mig_partition_drain=["kubernetes"],
        mig_partition_layout=[{"instances": {"1g.5gb": 2}}],
        mig_partition_tasks={"before_instances": tasks_file(tmp_path / "wait.yml", [WAIT])},
    )
    run = run_playbook("gpufleet.mig.partition", [place.host], extra_vars={"go_on": str(tmp_path / "go_on")})
    label = f"{LABEL}device-plugin".replace(".", "\\.")
    place.cluster.wait(f"jsonpath={{.metadata.labels.{label}}}={PAUSED}", f"node/{place.host.name}")
    assert place.cordoned()
    (tmp_path / "go_on").touch()
    run.ok()
    assert profiles(place.host) == [{"1g.5gb": 2}]
    assert (place.cordoned(), place.labels(), place.remembered()) == (False, {"device-plugin": "true"}, None)

    nowhere = {"mig_drain_kubernetes_kubeconfig": str(tmp_path / "absent")}
    again = run_playbook("gpufleet.mig.partition", [place.host], extra_vars=nowhere).ok()
    assert again.outcome(place.host)["state"] == "unchanged"


@pytest.mark.prove
def test_a_node_that_the_cluster_does_not_have(place):
    run = place.drain(mig_drain_kubernetes_node="nowhere").failed()
    assert "mig_drain_kubernetes_node" in reason(run)
    assert place.remembered() is None
