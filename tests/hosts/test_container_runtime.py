# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_container_runtime with NVIDIA's own nvidia-ctk, on a host whose engines count their starts.

The tests share one host and go in their order: first it has Docker only, then containerd only.
"""

from __future__ import annotations

import json
from pathlib import Path

import container_toolkit
import pynvml
import pytest
import yaml

PRIVATE = "/usr/local/lib/gpufleet-mig/python"
ROLE = "gpufleet.mig.mig_container_runtime"
REFRESHED, WRITTEN = "/var/run/cdi/nvidia.yaml", "/etc/cdi/nvidia.yaml"
DAEMON = "/etc/docker/daemon.json"
CONFIG, DROP_IN = "/etc/containerd/config.toml", "/etc/containerd/conf.d/99-nvidia.toml"
OLD = "#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.14.6\n"


@pytest.fixture(scope="module")
def host(systemd_hosts):
    """A host with two GPUs, the first of them partitioned, and Docker."""
    (started,) = systemd_hosts({"containers": [{"model": "A100-SXM4-40GB", "count": 2}]})
    container_toolkit.install(started)
    started.run("mv /etc/systemd/system/containerd.service /root && systemctl daemon-reload && systemctl start docker")
    started.run(
        f"mkdir -p {PRIVATE} && cat > {PRIVATE}/pynvml.py", text=Path(pynvml.__file__).read_text(encoding="utf-8")
    )
    started.run("nvidia-smi -i 0 -mig 1 && nvidia-smi mig -i 0 -cgi 9,14,19 -C")
    return started


@pytest.fixture
def expose(run_playbook, host):
    """Run the role: expose(check=…, **variables)."""

    def start(check=False, tasks_from="main", **variables):
        task = {"ansible.builtin.include_role": {"name": ROLE, "tasks_from": tasks_from}, "vars": variables}
        play = {"hosts": "all", "gather_facts": False, "tasks": [task]}
        return run_playbook([play], [host], check=check, diff=check)

    return start


def changes(run):
    """The names of the tasks that changed something."""
    return [one["task"].rpartition(" : ")[2] for one in run.results() if one["result"].get("changed")]


def starts(host, unit):
    """How often a unit was started."""
    return host.run(f"cat /var/log/{unit}", check=False).stdout.count("start")


def listed(host):
    """What a container can name, without `all`."""
    names = host.run("nvidia-ctk --quiet cdi list").stdout.split()
    return {name.partition("=")[2] for name in names} - {"all"}


def there(host):
    """What it should be able to name."""
    names = set()
    for gpu in host.show()["gpus"]:
        if not gpu["mig_mode"]:
            names |= {str(gpu["index"]), gpu["uuid"]}
        for instance in gpu["instances"]:
            for mig in instance["compute_instances"]:
                names |= {f"{gpu['index']}:{mig['mig_index']}", mig["uuid"]}
    return names


def message(run):
    """The sentence with which it failed."""
    return [one["result"]["msg"] for one in run.results() if one["status"] == "failed"][-1]


def files(host, path):
    """All files there with their content, for a comparison."""
    return host.run(f"find {path} -type f -exec sha256sum {{}} +", check=False).stdout


@pytest.mark.prove
def test_without_toolkit_nothing_is_touched(host, expose):
    before = files(host, "/etc/docker")
    host.run("mv /usr/bin/nvidia-ctk /root")
    try:
        assert "There is no nvidia-ctk on PATH. Install the package nvidia-container-toolkit from NVIDIA's" in message(
            expose().failed()
        )
        host.run("cat > /usr/bin/nvidia-ctk; chmod 755 /usr/bin/nvidia-ctk", text=OLD)
        said = message(expose(tasks_from="check").failed())
        assert "The NVIDIA Container Toolkit is 1.14.6; it takes 1.15.0 or later." in said
    finally:
        host.run("mv /root/nvidia-ctk /usr/bin")
    assert files(host, "/etc/docker") == before
    assert starts(host, "docker") == 1


def test_docker_gets_it_merged_and_is_restarted_once(host, expose):
    before = host.run(f"cat {DAEMON}").stdout
    foretold = expose(check=True).ok()
    assert "nvidia-container-runtime" in foretold.output
    assert (host.run(f"cat {DAEMON}").stdout, starts(host, "docker"), listed(host)) == (before, 1, set())

    assert set(changes(expose().ok())) >= {"Put the specification in place", "Restart docker.service"}
    config = json.loads(host.run(f"cat {DAEMON}").stdout)
    assert config["runtimes"].pop("nvidia")["path"] == "nvidia-container-runtime"
    assert config["features"].pop("cdi") is True
    assert config == json.loads(before)
    assert host.run(f"stat -c %a {DAEMON}").stdout == "600\n"
    assert host.run(f"cat {DAEMON}.*~").stdout == before
    assert starts(host, "docker") == 2
    assert listed(host) == there(host)
    assert len(there(host)) == 8
    assert host.run("test -e /etc/containerd/conf.d", check=False).returncode

    # Blanks are no change, and so is what is right.
    host.run(f"cat {DAEMON} | tr -d ' \\n' > /root/daemon.json && cp /root/daemon.json {DAEMON}")
    assert changes(expose().ok()) == []
    assert starts(host, "docker") == 2


@pytest.mark.prove
def test_a_repartition_changes_the_specification_and_restarts_nothing(host, expose):
    gone = listed(host)
    host.run("nvidia-smi mig -i 0 -dci && nvidia-smi mig -i 0 -dgi && nvidia-smi mig -i 0 -cgi 9,19,19,19 -C")
    foretold = expose(check=True).ok()
    assert changes(foretold) == ["Put the specification in place"]
    assert listed(host) == gone
    assert set(changes(expose().ok())) == {"Make the device files that are missing", "Put the specification in place"}
    assert listed(host) == there(host)
    assert starts(host, "docker") == 2
    specification = yaml.safe_load(host.run(f"cat {WRITTEN}").stdout)
    for device in specification["devices"]:
        if ":" in device["name"]:
            nodes = [node["path"] for node in device["containerEdits"]["deviceNodes"]]
            assert sum(path.startswith("/dev/nvidia-caps/") for path in nodes) == 2, device["name"]
    # All MIG devices gone, and no whole GPU either: then nvidia-ctk has nothing to write.
    host.run("nvidia-smi mig -i 0 -dci && nvidia-smi mig -i 0 -dgi && nvidia-smi -i 1 -mig 1")
    expose().ok()
    assert listed(host) == set()
    host.run("nvidia-smi mig -i 1 -cgi 14,14 -C")
    expose().ok()
    assert listed(host) == there(host)


def test_another_specification_is_found_before_and_a_stale_one_after(host, expose):
    host.run(f'mkdir -p /var/run/cdi && sed \'s/"[01]:0"/"7:7"/\' {WRITTEN} > /var/run/cdi/mine.yaml')
    said = message(expose(tasks_from="check").failed())
    assert "/var/run/cdi/mine.yaml names GPUs as well" in said
    # What is not recognised beforehand, here for its form, is found at the end.
    host.run("sed -i 's/^kind: .*/\"kind\" : nvidia.com\\/gpu/' /var/run/cdi/mine.yaml")
    said = message(expose().failed())
    assert "Named, but not there: nvidia.com/gpu=7:7." in said
    host.run("rm /var/run/cdi/mine.yaml")


@pytest.mark.prove
def test_with_the_refresh_service_it_is_that_file_with_its_settings(host, expose):
    host.run(
        "printf '%s\\n' '[Service]' Type=oneshot ExecStart=/bin/true '[Install]' WantedBy=multi-user.target"
        " > /etc/systemd/system/nvidia-cdi-refresh.service && systemctl enable nvidia-cdi-refresh.service"
    )
    said = message(expose(tasks_from="check").failed())
    assert f"The CDI specification of this host is {REFRESHED}, but {WRITTEN} names GPUs as well" in said
    host.run(
        f"rm {WRITTEN}; mkdir /etc/nvidia-container-toolkit;"
        " echo NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=uuid"
        " > /etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
    )
    assert changes(expose().ok()) == ["Put the specification in place"]
    assert listed(host) == {name for name in there(host) if name.startswith(("MIG-", "GPU-"))}
    assert host.run(f"test -e {WRITTEN}", check=False).returncode
    assert changes(expose().ok()) == []
    assert starts(host, "docker") == 2


def test_an_engine_that_does_not_take_it_gets_its_own_back(host, expose):
    before = '{"log-driver": "journald"}'
    host.run(f"echo '{before}' > {DAEMON}; rm -f {DAEMON}.*~")
    host.run("touch /etc/docker/refuses")
    said = message(expose().failed())
    assert "docker.service did not take its new configuration and has its earlier one back." in said
    assert host.run(f"cat {DAEMON}").stdout == f"{before}\n"
    assert host.run("systemctl is-active docker.service").stdout == "active\n"
    host.run("rm /etc/docker/refuses")


@pytest.mark.prove
def test_containerd_gets_a_file_of_its_own(host, expose):
    host.run("systemctl stop docker.service; rm /etc/systemd/system/docker.service")
    host.run(
        "mv /root/containerd.service /etc/systemd/system/ && systemctl daemon-reload && systemctl start containerd"
    )
    before = host.run(f"cat {CONFIG}").stdout
    foretold = expose(check=True).ok()
    assert DROP_IN in foretold.output
    assert (host.run(f"cat {CONFIG}").stdout, starts(host, "containerd")) == (before, 1)
    expose().ok()
    assert starts(host, "containerd") == 2
    config = host.run(f"cat {CONFIG}").stdout
    assert 'imports = ["/etc/containerd/conf.d/*.toml"]' in config
    assert 'root = "/data/containerd"' in config
    drop_in = host.run(f"cat {DROP_IN}").stdout
    assert "enable_cdi = true" in drop_in
    assert 'BinaryName = "/usr/bin/nvidia-container-runtime"' in drop_in
    # The plugin's settings are replaced by what is imported, so the toolkit repeats them.
    assert 'sandbox_image = "registry.example/pause:3.9"' in drop_in
    assert host.run(f"cat {CONFIG}.*~").stdout == before

    # With its import it is left alone, comments and all.
    own = f"# Ours.\nimports = ['/etc/containerd/conf.d/*.toml']\n{before.replace('# Ours.', '')}"
    host.run(f"cat > {CONFIG}", text=own)
    assert changes(expose().ok()) == []
    assert host.run(f"cat {CONFIG}").stdout == own
    assert starts(host, "containerd") == 2

    host.run(f"echo 'root = \"/data\"' > {CONFIG}")
    assert "is a containerd configuration of version 1" in message(expose().failed())
    assert starts(host, "containerd") == 2
