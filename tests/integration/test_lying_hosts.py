# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose root answers the roles what he wants: one sentence, and nothing of it reaches another host."""

from __future__ import annotations

import json

import pytest
from liar import lie

A100 = "A100-SXM4-40GB"
EVIL = "NVIDIA A100\nPrologSlurmctld=/shared/evil"
SLURM_CONF = "GresTypes=gpu\nNodeName=gpu-host Gres=gpu:old:1\n"
SYSTEMCTL = "echo LoadState=loaded; echo ActiveState=active; echo 'ExecStart={{ path={} ; argv[]=x ; }}'"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))


def play(role, tasks_from="main", **variables):
    """A play with a role, on all hosts but the one that has Slurm's files."""
    task = {"ansible.builtin.include_role": {"name": f"gpufleet.mig.{role}", "tasks_from": tasks_from}}
    return [{"hosts": "all:!control", "gather_facts": False, "tasks": [{**task, "vars": variables}]}]


def message(run):
    """The sentence with which it failed."""
    return [one["result"]["msg"] for one in run.results() if one["status"] == "failed"][-1]


@pytest.fixture
def slurm(simulated_host, tmp_path):
    """(a host with an A100 and slurmd, the host of slurmctld, the variables of mig_slurm); it has the files alone."""
    control, host = simulated_host(name="control"), simulated_host(A100, name="gpu-host")
    conf = tmp_path / "slurm.conf"
    conf.write_text(SLURM_CONF, encoding="utf-8")
    variables = {
        "mig_slurm_host": "control",
        "mig_slurm_config": str(conf),
        "mig_slurm_config_hosts": ["control"],
        "mig_slurm_node": "gpu-host",
        "mig_slurm_autodetect": "off",
    }
    lie(control, {}, {"systemctl": "echo LoadState=loaded", "scontrol": f"touch {tmp_path}/scontrol; exit 1"})
    return host, control, variables


def program(folder, name="slurmd"):
    """The path of a slurmd that writes down that it was started."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ntouch {folder}/started\necho slurm 24.11.5\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("what", "tasks_from"), [("product", "check"), ("product", "main"), ("minor", "main"), ("slurmd", "main")]
)
def test_a_host_writes_nothing_into_slurms_files(what, tasks_from, slurm, tmp_path, run_playbook, edge_environment):
    host, control, variables = slurm
    started = str(program(tmp_path)) if what != "slurmd" else f"{program(tmp_path, 'x')}/../x"
    lies = {
        "product": {"ansible_facts.mig.gpus.0.product": EVIL},
        "minor": {"ansible_facts.mig.gpus.0.minor": "0 Flags=x"},
        "slurmd": {},
    }[what]
    lie(host, {"mig_facts": lies}, {"systemctl": SYSTEMCTL.format(started)})
    run = run_playbook(play("mig_slurm", tasks_from, **variables), [host, control], environment=edge_environment)
    said = message(run.failed())
    assert said.startswith("Slurm: gpu-host: ")
    assert {
        "product": r"GPU 0: its product is 'NVIDIA A100\nPrologSlurmctld=/shared/evil'.",
        "minor": "GPU 0: its minor number is '0 Flags=x'; expected is a whole number up to 255.",
        "slurmd": f"What slurmd.service starts (ExecStart=) is '{started[:50]}",  # a long one is cut
    }[what] in said
    assert (tmp_path / "slurm.conf").read_text(encoding="utf-8") == SLURM_CONF
    assert (tmp_path / "started").exists() == (what != "slurmd")
    assert [path.name for path in tmp_path.glob("*~")] == []


def test_going_back_puts_back_slurms_own_files(slurm, tmp_path, run_playbook, edge_environment):
    """Whatever a host has answered about the files that were written."""
    host, control, variables = slurm
    backup, victim = tmp_path / "slurm.conf.4711.2026-11-21@15:59:35~", tmp_path / "victim"
    backup.write_text(f"{SLURM_CONF}# earlier\n", encoding="utf-8")
    victim.write_text("root", encoding="utf-8")
    lie(host, {}, {"systemctl": "exit 0"})
    for path, after in ((victim, SLURM_CONF), (tmp_path / "slurm.conf", f"{SLURM_CONF}# earlier\n")):
        said = {"item": "control", "files": [{"path": str(path), "backup": str(backup)}]}
        written = {"results": [{"item": "gpu-host", "msg": "it was not reached"}, said]}
        run = run_playbook(
            play("mig_slurm", "back", mig_slurm_written=written, **variables),
            [host, control],
            environment=edge_environment,
        ).ok()
        assert victim.read_text(encoding="utf-8") == "root"
        assert (tmp_path / "slurm.conf").read_text(encoding="utf-8") == after
        why = run.results("ansible.builtin.set_fact")[-1]["result"]["ansible_facts"]["mig_slurm_back"]
        assert ("victim' is no file of" in why) == (path == victim)


def test_the_python_of_the_modules_is_a_path(simulated_host, run_playbook, edge_environment):
    host = simulated_host(A100)
    finding = {"check": "nvidia_ml_py", "severity": "error", "problem": "x", "advice": "y"}
    evil = "/opt/../evil"
    lies = {"findings": [finding], "evidence.user": 0, "evidence.python": evil, "ok": False}
    lies.update({"nvidia_ml_py": "missing", "evidence.nvidia_devices": True})
    lie(host, {"mig_driver_check": lies})
    run = run_playbook(play("mig_driver", mig_driver_python_package="index"), [host], environment=edge_environment)
    assert f"gpu-host: The Python of the modules is '{evil}'. Expected is an absolute path" in message(run.failed())


@pytest.fixture
def containers(simulated_host, tmp_path):
    """containers(lies, setting=…, generated=…): a host with an A100 and stand-ins of the toolkit, no engine."""
    host = simulated_host(A100)

    def start(lies=None, settings="", generated=""):
        (tmp_path / "generated").write_text(generated, encoding="utf-8")
        toolkit = f"""case "$1 $2" in
--version*) echo NVIDIA Container Toolkit CLI version 1.18.0;;
'cdi generate') env > {tmp_path}/env; cp {tmp_path}/generated "${{3#--output=}}";;
esac"""
        units = "echo nvidia-cdi-refresh.service enabled enabled"
        environment = f"printf '%s\\n' LD_PRELOAD=/tmp/evil.so NVIDIA_CTK_X=1 {settings}"
        lie(host, {"mig_facts": lies or {}}, {"nvidia-ctk": toolkit, "systemctl": units, "systemd-run": environment})
        return host

    return start


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lies": {"ansible_facts.mig.gpus.0.minor": "../sda"}}, "gpu-host: GPU 0: its minor number is '../sda'"),
        ({"settings": "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/etc/cdi/../passwd.yaml"}, "is '/etc/cdi/../passwd.yaml'"),
        pytest.param(
            {"settings": "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=x"},
            "has 'x'; there are index, type-index, uuid",
            marks=pytest.mark.prove,
        ),
    ],
)
def test_what_a_host_tells_of_containers(given, words, containers, tmp_path, run_playbook, edge_environment):
    run = run_playbook(play("mig_container_runtime"), [containers(**given)], environment=edge_environment).failed()
    assert words in message(run)
    assert not (tmp_path / "env").exists()
    assert not [one for one in run.results() if one["result"].get("changed")]


@pytest.mark.parametrize(
    ("generated", "words"),
    [
        (LAUGHS, "It cannot be read: it has a YAML alias (line 2), and no specification has any."),
        pytest.param("devices: 7", "It cannot be read: devices is '7', and no list.", marks=pytest.mark.prove),
    ],
)
def test_a_specification_is_read_with_limits(generated, words, containers, tmp_path, run_playbook, edge_environment):
    path = tmp_path / "cdi" / "nvidia.yaml"
    host = containers(settings=f"NVIDIA_CTK_CDI_OUTPUT_FILE_PATH={path}", generated=generated)
    said = message(run_playbook(play("mig_container_runtime"), [host], environment=edge_environment).failed())
    assert said.startswith(f"The CDI specification of gpu-host, {path}, does not have the devices that are there. ")
    assert words in said
    assert path.read_text(encoding="utf-8") == generated
    variables = (tmp_path / "env").read_text(encoding="utf-8")
    assert "NVIDIA_CTK_X=1" in variables
    assert "LD_PRELOAD" not in variables


def test_one_host_does_not_keep_the_others_from_being_told_of(simulated_host, run_playbook, edge_environment):
    liar, other = simulated_host(A100, "--mig", name="liar"), simulated_host(A100, "--mig", name="other")
    lie(liar, {"mig_driver_check": {"mig.gpus.0.product": ["x"]}})
    run = run_playbook(
        "gpufleet.mig.partition",
        [liar, other],
        environment=edge_environment,
        extra_vars={"mig_partition_layout": [{"instances": {"1g.5gb": 7}}]},
    )
    run.finish()
    assert "Traceback" not in run.output
    assert run.outcome(other)["state"] == "changed"
    summary = run.results("gpufleet.mig.mig_summary")[0]["result"]["summary"]
    assert [line.split()[0] for line in summary if line.startswith(("liar", "other"))] == ["other", "liar"]
    assert "nothing that the modules of this collection return" in " ".join(map(str.strip, summary))


def test_deep_facts_of_one_host_keep_no_other_from_being_told_of(
    simulated_host, run_playbook, edge_environment, tmp_path
):
    # From about 240 levels on ansible-core 2.19 and later could template them no more, and the summary failed for all.
    deep = []
    for _number in range(260):
        deep = [deep]
    liar, other = simulated_host(A100, "--mig", name="liar"), simulated_host(A100, "--mig", name="other")
    lie(liar, {"ping": {"ansible_facts.x": deep}})
    report = tmp_path / "report.json"
    run = run_playbook(
        [
            {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]},
            {"hosts": "all", "gather_facts": False, "roles": ["gpufleet.mig.mig_partition"]},
        ],
        [liar, other],
        environment=edge_environment,
        extra_vars={"mig_partition_layout": [{"instances": {"1g.5gb": 7}}], "mig_partition_report": str(report)},
    )
    run.finish()
    assert json.loads(report.read_text(encoding="utf-8"))["hosts"]["other"]["state"] == "changed"
    assert any(line.startswith("other") for line in run.results("gpufleet.mig.mig_summary")[0]["result"]["summary"])
