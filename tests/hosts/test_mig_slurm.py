# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_slurm with real slurmctld and slurmd, whose NVML plugin finds the simulated GPUs.

There are two clusters, and each run is on a node of both: Slurm 22.05 with a controller that is a node, too, and whose
job goes on through all tests; Slurm 24.11 with a node that is its own controller. The tests go in their order. Both
nodes have an H200, of which slurmd calls a 1g.18gb with its 16384 MiB by the rule of its release.
"""

from __future__ import annotations

from pathlib import Path

import nvidia_modprobe
import pynvml
import pytest

# Every day tests/kubernetes/test_four_worlds.py does the most of this.
pytestmark = pytest.mark.prove
CONFIGURATION = """ClusterName=test
SlurmctldHost={controller}({address})
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu,nic
MailProg=/bin/true
KillWait=1
Include nodes.conf
PartitionName=gpus Nodes=ALL Default=YES OverSubscribe=FORCE:8
"""
# What is there is not what they say: the role is to find that out.
NODE = "NodeName={name} NodeAddr={address} CPUs=1 Gres=gpu:nvidia_a100_3g.20gb:2,nic:1 # ours\n"
OTHER = "NodeName={name} NodeAddr={address} CPUs=1 Gres=gpu:nvidia_a100-sxm4-40gb:1\n"
MINE = "# Ours.\nNodeName={name} Name=nic Count=1\n"
NODES, GRES = "/etc/slurm/nodes.conf", "/etc/slurm/gres.conf"
PRIVATE = "/usr/local/lib/gpufleet-mig/python"
ROLE, PARTITION = "gpufleet.mig.mig_slurm", "gpufleet.mig.partition"
WHOLE, SLICE = "gpu:nvidia_a100-sxm4-40gb", "gpu:nvidia_a100_{}"
CHANGE = {
    "mig_partition_layout": [{"gpus": [0], "instances": {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}}],
    "mig_partition_persistence": False,
    "mig_partition_drain": ["slurm"],
    "mig_partition_expose": ["slurm"],
}


class Node:
    """A GPU host that is a node of a Slurm, the host of its slurmctld, and what this slurmd calls an H200's 1g.18gb."""

    def __init__(self, host, controller, h200=None):
        self.host = host
        self.controller = controller
        self.h200 = h200
        self.name = host.name
        self.variables = host.variables

    @property
    def hosts(self):
        """The hosts with its Slurm's files."""
        return list(dict.fromkeys([self.controller, self.host]))

    def files(self):
        """All files of Slurm with their content, without earlier ones."""
        command = "find /etc/slurm -type f -not -name '*~' -exec sha256sum {} +"
        return [sorted(host.run(command).stdout.splitlines()) for host in self.hosts]

    def invocations(self):
        """Which starts of the daemons these are. With 24.11 slurmctld has another process after a reconfiguration."""
        show = "systemctl show --property=InvocationID,MainPID --value"
        return [self.controller.run(f"{show} slurmctld").stdout, self.host.run(f"{show} slurmd").stdout]

    def shown(self):
        """What slurmctld has of this node, by its key."""
        words = self.controller.run(f"scontrol show node {self.name}").stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def gres(self):
        """{gres: count}, as slurmctld has them."""
        items = [item.partition("(")[0].rpartition(":") for item in self.shown()["Gres"].split(",")]
        return {name: int(count) for name, _colon, count in items}

    def wait(self, command):
        """Wait until this command succeeds on the controller."""
        self.controller.run(f"timeout 300 sh -c 'until {command}; do sleep 0.1; done'")

    def wait_until_idle(self):
        """Wait until jobs may start on the node; after a restart slurmctld may think it silent till its next ping."""
        self.wait(f'scontrol show node {self.name} | grep -q "State=IDLE "')

    def run_job(self, gres, *options):
        """Submit a job of the user ops and wait until it runs: its id. It prints which devices it has."""
        command = "echo $CUDA_VISIBLE_DEVICES; touch /tmp/job-$SLURM_JOB_ID; sleep 1000"
        line = f"sudo -u ops sbatch --parsable --chdir=/tmp -w {self.name} --gres={gres} {' '.join(options)}"
        job = int(self.controller.run(f"{line} --wrap='{command}'").stdout)
        self.host.run(f"timeout 100 sh -c 'until test -e /tmp/job-{job}; do sleep 0.1; done'")
        return job

    def devices(self, profile):
        """Its MIG devices of that profile."""
        instances = [one for gpu in self.host.show()["gpus"] for one in gpu["instances"]]
        return [mig for one in instances for mig in one["compute_instances"] if one["profile"] == profile]

    def state(self, job):
        """The state of a job."""
        return self.controller.run(f"squeue --noheader --states=all --format=%T --jobs={job}").stdout.strip()

    def start(self, text, nodes, mine):
        """Write the files and start the daemons."""
        # This Slurm knows the library by the name that NVIDIA's installer adds.
        link = "ln -sf libnvidia-ml.so.1 /opt/mig-simulator/libnvidia-ml.so && ldconfig"
        for host in self.hosts:
            for path, content in (("/etc/slurm/slurm.conf", text), (NODES, nodes), (GRES, mine)):
                host.run(f"cat > {path}", text=content)
            host.run(f"chown root:slurm {NODES} && chmod 664 {NODES}; {link}; systemctl start munge")
        nvidia_modprobe.install(self.host)
        # What the role mig_driver brings.
        pynvml_text = Path(pynvml.__file__).read_text(encoding="utf-8")
        self.host.run(f"mkdir -p {PRIVATE} && cat > {PRIVATE}/pynvml.py", text=pynvml_text)
        self.controller.run("systemctl start slurmctld")
        self.host.run("systemctl start slurmd")
        self.wait(f"scontrol show node {self.name} | grep -q Reason=gres/gpu.count.reported.lower")


@pytest.fixture(scope="module")
def nodes(systemd_hosts):
    """[the node with Slurm 22.05, the one with 24.11]: MIG on GPU 0, seven MIG devices; one of GPU 2, an H200."""
    a100, h200 = {"model": "A100-SXM4-40GB"}, {"model": "H200-SXM5-141GB", "count": 1}
    control, gpu, alone = systemd_hosts(
        {
            "bookworm-slurm-control": [{**a100, "count": 1}],
            "bookworm-slurm-gpu": [{**a100, "count": 2}, h200],
            "trixie-slurm-gpu": [{**a100, "count": 2}, h200],
        }
    )
    found = [Node(gpu, control, "gpu:nvidia_h200_1g.16gb"), Node(alone, alone, "gpu:nvidia_h200_1g.18gb")]
    for node in found:
        # Their MIG devices keep their indexes when others go, so that a change can leave holes between them.
        node.host.run("mig-simulator init --strange mig-indexes=lowest A100-SXM4-40GB:2 H200-SXM5-141GB")
        node.host.run("systemctl restart mig-simulator.service")
        node.host.run("nvidia-smi -i 0 -mig 1 && nvidia-smi mig -i 0 -cgi 19,19,19,19,19,19,19 -C")
        node.host.run("nvidia-smi -i 2 -mig 1 && nvidia-smi mig -i 2 -cgi 19 -C")
        address = node.controller.variables()["ansible_host"]
        lines = NODE.format(name=node.name, address=node.variables()["ansible_host"])
        if node.controller is not node.host:
            lines += OTHER.format(name=node.controller.name, address=address)
        text = CONFIGURATION.format(controller=node.controller.name, address=address)
        node.start(text, lines, MINE.format(name=node.name))
    control.run(f"echo 'NodeName={control.name} AutoDetect=nvml' >> {GRES} && systemctl start slurmd")
    found[0].wait(f"scontrol show node {control.name} | grep -q State=IDLE")
    return found


@pytest.fixture(scope="module")
def bystander(nodes):
    """A job with a GPU on the other node of Slurm 22.05, which must live through everything."""
    other = Node(nodes[0].controller, nodes[0].controller)
    job = other.run_job(f"{WHOLE}:1")
    yield other, job


@pytest.fixture
def run(run_playbook, nodes, bystander):
    """run(check=…, **variables): the role, or a playbook, on the nodes of both clusters."""
    controllers = {node.name: node.controller.name for node in nodes}

    def start(playbook=None, tasks_from="main", check=False, **variables):
        role = {"name": ROLE, "tasks_from": tasks_from}
        task = {"ansible.builtin.include_role": role}
        play = {"hosts": "all", "gather_facts": False, "tasks": [task]}
        hosts = dict.fromkeys(host for node in nodes for host in node.hosts)
        given = {
            "mig_drain_slurm_host": "{{ controllers[inventory_hostname] }}", "controllers": controllers, **variables
        }  # fmt: skip
        return run_playbook(
            playbook or [play], list(hosts), check=check, diff=check, limit=",".join(controllers), extra_vars=given
        )

    yield start
    other, job = bystander
    assert other.state(job) == "RUNNING"


def changes(run):
    """The names of the tasks that changed something."""
    return {one["task"].rpartition(" : ")[2] for one in run.results() if one["result"].get("changed")}


def printed(run):
    """What it printed, without the ends of lines."""
    return " ".join(run.output.split())


def messages(run, node=None):
    """The sentences with which it failed, of all nodes or of one."""
    failed = [one for one in run.results(host=node and node.name) if one["status"] == "failed"]
    return [one["result"]["msg"] for one in failed if "msg" in one["result"]]


def slices(node, **counts):
    """{gres: count} of a node's MIG devices by their profiles, one whole GPU, and a gres that is nobody's of us."""
    return {**{SLICE.format(name): count for name, count in counts.items()}, WHOLE: 1, node.h200: 1, "nic": 1}


def test_check_mode_tells_and_changes_nothing(nodes, run):
    before = [(node.files(), node.invocations()) for node in nodes]
    foretold = run(check=True).ok()
    for node in nodes:
        assert f"+NodeName={node.name} AutoDetect=nvml" in foretold.output
        assert f"node {node.name} is to have no gpu:nvidia_a100_3g.20gb (2 in slurm.conf) any more" in printed(foretold)
        assert f"for {SLICE.format('1g.5gb')}:7,{WHOLE}:1,{node.h200}:1." in foretold.output
    assert changes(foretold) == {"Make the device files that are missing", "Show what would be written"}
    assert [(node.files(), node.invocations()) for node in nodes] == before


def test_the_first_run_finds_what_is_there_and_the_second_changes_nothing(nodes, run):
    earlier = {node: node.controller.run(f"cat {NODES}").stdout for node in nodes}
    run().ok()
    for node in nodes:
        assert node.gres() == slices(node, **{"1g.5gb": 7})
        node.wait_until_idle()
        for host in node.hosts:
            old, new = earlier[node], host.run(f"cat {NODES}").stdout
            assert new == old.replace(
                "Gres=gpu:nvidia_a100_3g.20gb:2,nic:1", f"Gres={SLICE.format('1g.5gb')}:7,{WHOLE}:1,{node.h200}:1,nic:1"
            )
            assert host.run(f"cat {NODES}.*~").stdout == old
            assert host.run(f"stat -c '%a %U %G' {NODES}").stdout == "664 root slurm\n"
            assert host.run(f"cat {GRES}").stdout.startswith(MINE.format(name=node.name))
        # The capability files are there, and a job gets the UUID of its MIG device.
        assert int(node.host.run("ls /dev/nvidia-caps | wc -l").stdout) >= 14
    before = [(node.files(), node.invocations()) for node in nodes]
    assert changes(run().ok()) == set()
    assert [(node.files(), node.invocations()) for node in nodes] == before


def test_slurmd_takes_types_of_a_site(nodes, run):
    """Any part of the detected name; one that is no part of it is refused before anything is done."""
    before = [(node.files(), node.invocations()) for node in nodes]
    types = {"NVIDIA A100*": {"1g.5gb": "1g.5gb", "*": "a100"}, "NVIDIA H200": "h200"}
    foretold = run(check=True, mig_slurm_types=types).ok()
    for node in nodes:
        site = f"gpu:1g.5gb:7,gpu:a100:1,{node.h200.replace('nvidia_', '')}:1"
        assert f"would be restarted, for {site}." in printed(foretold)
        assert f"node {node.name} is to have no {SLICE.format('1g.5gb')} (7 in slurm.conf)" in printed(foretold)
    types["NVIDIA H200"] = {"1g.18gb": "h200_1g.18gb"}
    target = [{"gpus": [node.host.show()["gpus"][2]["uuid"]], "mig_enabled": True, "instances": [
        {"profile": "1g.18gb", "compute_instances": [{"profile": "1g.18gb"}]}]} for node in nodes]  # fmt: skip
    early = run(tasks_from="check", mig_slurm_types=types, mig_expose_target=target).failed()
    (refusal,) = messages(early)
    assert "Slurm 22.05" in refusal
    assert "the 1g.18gb on GPU 2 nvidia_h200_1g.16gb, and h200_1g.18gb of mig_slurm_types is no part of" in refusal
    assert [(node.files(), node.invocations()) for node in nodes] == before


def test_under_jobs_nothing_is_changed(nodes, run):
    jobs = [node.run_job(f"{SLICE.format('1g.5gb')}:1", "--output=/tmp/job") for node in nodes]
    for node in nodes:
        node.host.run("nvidia-smi -i 1 -mig 1 && nvidia-smi mig -i 1 -cgi 9,9 -C")
    before = [(node.files(), node.invocations()) for node in nodes]
    refused = run().failed()
    early = run(tasks_from="check", mig_expose_target=[]).failed()
    for node, job in zip(nodes, jobs, strict=True):
        for said in messages(refused, node) + messages(early, node):
            assert f"job {job} (ops, wrap, {SLICE.format('1g.5gb')}:1" in said
            assert f"on node {node.name} would be aborted" in said
        assert f"{SLICE.format('3g.20gb')}: 2 expected, 0 there" in messages(refused, node)[-1]
        assert node.state(job) == "RUNNING"
        assert node.shown()["State"] in ("MIXED", "ALLOCATED")
        # It has the UUID of its MIG device.
        uuids = [mig["uuid"] for mig in node.devices("1g.5gb")]
        assert node.host.run("cat /tmp/job").stdout.strip() in uuids
    assert [(node.files(), node.invocations()) for node in nodes] == before
    for node in nodes:
        node.controller.run(f"scancel --user=ops --nodelist={node.name}")
        node.wait(f'test -z "$(squeue -h -w {node.name})"')
        node.host.run("nvidia-smi mig -i 1 -dci && nvidia-smi mig -i 1 -dgi && nvidia-smi -i 1 -mig 0")


def test_what_slurmd_cannot_find_is_refused(nodes, run):
    """The layout that follows keeps two MIG devices, and their indexes, so that there are holes."""
    before = [(node.files(), node.invocations()) for node in nodes]
    modes = {nodes[0].name: "nvml", nodes[1].name: "auto"}
    entry = [{"gpus": [gpu["uuid"]], "mig_enabled": True, "instances": []} for gpu in nodes[0].host.show()["gpus"][1:]]
    entry += [{"gpus": [gpu["uuid"]], "mig_enabled": True, "instances": []} for gpu in nodes[1].host.show()["gpus"][1:]]
    early = run(
        tasks_from="check", mig_expose_target=entry, modes=modes, mig_slurm_autodetect="{{ modes[inventory_hostname] }}"
    ).failed()
    for node, words in zip(nodes, ("With mig_slurm_autodetect: nvml", "need ConstrainDevices=yes"), strict=True):
        (said,) = messages(early, node)
        assert words in said
        assert "GPU 1 has MIG on and no MIG device" in said
    assert [(node.files(), node.invocations()) for node in nodes] == before


def test_the_whole_change_of_a_host(nodes, run):
    old, new = nodes
    new.host.run("echo ConstrainDevices=yes > /etc/slurm/cgroup.conf")
    failed = run(PARTITION, **CHANGE).failed()
    # A change that Slurm cannot follow is told, and the node stays out of service.
    said = failed.outcome(old)["message"]
    assert "AutoDetect=nvml does not find what is to be there: the MIG devices of GPU 0 have the indexes" in said
    assert old.gres() == slices(old, **{"1g.5gb": 7})
    assert old.shown()["State"] == "IDLE+DRAIN"
    assert failed.outcome(new)["state"] == "changed"
    old.host.run("echo ConstrainDevices=yes > /etc/slurm/cgroup.conf")
    before = (new.files(), new.invocations())
    again = run(PARTITION, **CHANGE).ok()
    assert {again.outcome(node)["state"] for node in nodes} == {"unchanged"}
    assert (new.files(), new.invocations()) == before
    for node in nodes:
        assert node.gres() == slices(node, **{"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2})
        node.wait_until_idle()
        lines = [line for line in node.host.run(f"cat {GRES}").stdout.splitlines() if "MultipleFiles" in line]
        assert len(lines) == 5
        for line in lines:
            files = line.partition("MultipleFiles=")[2].split()[0].split(",")
            assert node.host.run(f"ls {' '.join(files)}").stdout.split() == sorted(files)
            assert line.startswith(f"NodeName={node.name} AutoDetect=off Name=gpu Type=nvidia_")
        job = node.run_job(f"{SLICE.format('2g.10gb')}:1")
        node.controller.run(f"scancel {job}")
        node.wait(f'test -z "$(squeue -h -w {node.name})"')


def test_a_slurm_that_does_not_get_there_is_told(nodes, run):
    old, new = nodes
    before = new.files()
    # One slurmd has files of its own, of which nobody has told; the other does not start. GPU 1 is empty.
    old.host.run("cp -r /etc/slurm /etc/slurm-old")
    for host, options in ((old.host, "-f /etc/slurm-old/slurm.conf"), (new.host, "--nonsense")):
        host.run("cat > /etc/default/slurmd", text=f'SLURMD_OPTIONS="{options}"\n')
        host.run("nvidia-smi -i 1 -mig 1")
    failed = run().failed()
    said = messages(failed, old)[-1]
    assert f"slurmctld does not have the GPUs and MIG devices of {old.name}" in said
    assert f"{WHOLE}: 0 expected, 1 there" in said
    assert "DRAIN" in old.shown()["State"]
    said = messages(failed, new)[-1]
    assert f"node {new.name} did not get the gres" in said
    assert "The files are as they were." in said
    assert new.files() == before
    # Both stay drained, with a reason that the next run knows as its own.
    for node in nodes:
        node.host.run("rm /etc/default/slurmd")
    run().ok()
    for node in nodes:
        assert {**node.gres(), WHOLE: 1} == slices(node, **{"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2})
        assert WHOLE not in node.gres()
        node.wait_until_idle()


def test_files_of_somebody_else_are_compared_only(nodes, run):
    before = [(node.files(), node.invocations()) for node in nodes]
    early = run(
        tasks_from="check", mig_expose_target=[], mig_slurm_types={"*": "a100"}, mig_slurm_config_hosts=[]
    ).failed()
    for node in nodes:
        (said,) = messages(early, node)
        assert f"slurm.conf is left to you (mig_slurm_config_hosts: []), and its node {node.name} does not" in said
        assert "It takes Gres=gpu:a100_" in said
    assert [(node.files(), node.invocations()) for node in nodes] == before
