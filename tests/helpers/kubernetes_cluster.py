# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real Kubernetes control plane, with kwok for nodes that run nothing. Nodes with GPUs: kubernetes_node.py."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import socket
import subprocess
import time
from pathlib import Path

from go_programs import kubernetes_programs

KWOK = {"kwok.x-k8s.io/node": "fake"}
DEADLINE = 120  # seconds that a part of the cluster may take to become what is waited for


def free_ports(address, count):
    """So many free ports of that address, below those that the kernel gives to connections."""
    ports = []
    for port in random.sample(range(20000, 32768), 12768):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind((address, port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError(f"{address} has no {count} free ports")


class KubernetesCluster:
    """etcd, API server, controller manager, scheduler and kwok in ``folder``: one started by ``with``, ended after it.

    Whoever may be asked at ``address`` must be able to reach the API server there; etcd stays on the loopback.
    """

    def __init__(self, folder, address="127.0.0.1"):
        self._folder = folder
        self._programs = kubernetes_programs()
        self._running = {}
        folder.mkdir(parents=True)
        (api,) = free_ports(address, 1)
        self._etcd = [f"http://127.0.0.1:{port}" for port in free_ports("127.0.0.1", 2)]
        self._address = address, api
        self.url = f"https://{address}:{api}"
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n", encoding="utf-8")
        key = ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", folder / "service-accounts"]
        subprocess.run(key, check=True)
        self.kubeconfig = folder / "kubeconfig"
        self._write_kubeconfig(self.kubeconfig, token)

    def _write_kubeconfig(self, path, token):
        # The API server writes its certificate there, with that of the authority behind it.
        cluster = {"server": self.url, "certificate-authority": str(self._folder / "apiserver.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")

    def portable_kubeconfig(self):
        """The text of the admin's kubeconfig, as another machine can use it."""
        config = json.loads(self.kubeconfig.read_text(encoding="utf-8"))
        (cluster,) = config["clusters"]
        authority = Path(cluster["cluster"].pop("certificate-authority")).read_bytes()
        cluster["cluster"]["certificate-authority-data"] = base64.b64encode(authority).decode()
        return json.dumps(config, indent=2)

    def _arguments(self, program):
        folder, (address, port), (clients, peers) = self._folder, self._address, self._etcd
        key = folder / "service-accounts"
        return {
            "etcd": [
                f"--data-dir={folder}/etcd",
                "--unsafe-no-fsync",
                *(f"--{option}-client-urls={clients}" for option in ("listen", "advertise")),
                *(f"--{option}-peer-urls={peers}" for option in ("listen", "initial-advertise")),
                f"--initial-cluster=default={peers}",
            ],
            "kube-apiserver": [
                f"--etcd-servers={clients}",
                f"--bind-address={address}",
                f"--advertise-address={address}",
                f"--secure-port={port}",
                f"--cert-dir={folder}",
                f"--token-auth-file={folder}/tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--allow-privileged",  # as on every cluster with NVIDIA's programs
            ],
            "kube-controller-manager": [
                f"--kubeconfig={self.kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
                f"--service-account-private-key-file={key}",
                f"--root-ca-file={folder}/apiserver.crt",
            ],
            "kube-scheduler": [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0"],
            "kwok": [
                f"--kubeconfig={self.kubeconfig}",
                f"--config={self._programs}/kwok.yaml",
                "--node-port=0",  # no server for logs and commands
                "--node-lease-duration-seconds=40",  # without one, heartbeats are too rare for nodes to stay ready
                *(f"--manage-nodes-with-annotation-selector={key}={value}" for key, value in KWOK.items()),
            ],
            "nfd-master": [
                f"--kubeconfig={self.kubeconfig}",
                "--extra-label-ns=nvidia.com",  # as the GPU Operator and the plugin's Helm chart have it
                "--port=0",
            ],
        }[program]

    def __enter__(self):
        try:
            self.start("etcd")
            self.start("kube-apiserver")
            for program in ("kube-controller-manager", "kube-scheduler", "kwok"):
                self.start(program)
            # The controller manager makes it, and without it there are no pods.
            self.kubectl("wait", "--for=create", f"--timeout={DEADLINE}s", "serviceaccount/default")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception):
        self.close()

    def start(self, program, **variables):
        """Start this program of the cluster, with these environment variables; the API server then answers."""
        log = self._folder / f"{program}.log"
        with open(log, "ab") as output:
            # It ends with this process, however that ends.
            self._running[program] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", self._programs / program, *self._arguments(program)],
                cwd=self._folder,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + DEADLINE
        while program == "kube-apiserver" and self.kubectl("get", "--raw=/readyz", check=False).returncode:
            if self._running[program].poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{program} does not start: {log.read_text(encoding='utf-8')[-4000:]}")
            time.sleep(0.1)  # between two attempts to connect

    def stop(self, program):
        """Kill this program of the cluster; start(program) brings it back as it was."""
        process = self._running.pop(program)
        process.kill()
        process.wait()

    def close(self):
        """End the cluster."""
        for program in reversed(list(self._running)):
            self.stop(program)

    def kubectl(self, *arguments, text=None, check=True, kubeconfig=None):
        """Run kubectl as the admin, or as whom ``kubeconfig`` says: the completed process."""
        answer = subprocess.run(
            [self._programs / "kubectl", f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and answer.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {answer.stdout}{answer.stderr}")
        return answer

    def apply(self, *manifests):
        """Make or change these objects."""
        objects = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--filename=-", text=json.dumps(objects))

    def get(self, *what, namespace="default"):
        """What `kubectl get` finds: get("node", "a") one object, get("pods") a list's."""
        return json.loads(self.kubectl("get", f"--namespace={namespace}", "--output=json", *what).stdout)

    def wait(self, condition, *what, namespace="default", timeout=DEADLINE):
        """Wait, by a watch: wait("condition=Ready", "pod/a", "pod/b"), wait("delete", "pod/a")."""
        self.kubectl("wait", f"--namespace={namespace}", f"--for={condition}", f"--timeout={timeout}s", *what)

    def evict(self, pod, namespace="default", kubeconfig=None):
        """Ask the API for this eviction, as kubectl drain does: the completed process of kubectl."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
        command = ["create", f"--raw={path}", "--filename=-"]
        return self.kubectl(*command, text=json.dumps(eviction), check=False, kubeconfig=kubeconfig)

    def add_nodes(self, *names, allocatable=None):
        """Nodes of kwok, ready when this returns: pods run there, and end at once when they are deleted."""
        room = {"cpu": "32", "memory": "256Gi", "pods": "110", **(allocatable or {})}
        nodes = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "annotations": KWOK, "labels": {"kubernetes.io/hostname": name}},
                "status": {"allocatable": room, "capacity": room},
            }
            for name in names
        ]
        self.apply(*nodes)
        self.wait("condition=Ready", *(f"node/{name}" for name in names))

    def service_account(self, name, namespace="default"):
        """The kubeconfig of that ServiceAccount, which may do what the applied roles allow it."""
        token = self.kubectl("create", "token", f"--namespace={namespace}", name).stdout.strip()
        path = self._folder / f"{namespace}-{name}.kubeconfig"
        self._write_kubeconfig(path, token)
        return path


def pod(name, *, namespace="default", labels=None, **spec):
    """The manifest of a pod with one container; ``spec`` has what its specification says otherwise."""
    container = {"name": "main", "image": "none", **spec.pop("container", {})}
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }
