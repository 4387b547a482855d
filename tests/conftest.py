# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures that all tests share. In CI (CI=true) a skip is a failure: there the machine has what the tests need."""

from __future__ import annotations

import collections
import functools
import itertools
import os
import signal
import subprocess
import sys
import tempfile

import environments
import go_programs
import machines
import pytest
from evidence import Progress
from kubernetes_cluster import KubernetesCluster
from paths import BUILD, SIMULATOR
from playbook import Run
from simulated_host import SimulatedHost
from systemd_hosts import start_hosts
from xdist.scheduler import LoadScopeScheduling

# What tests start compiles what it imports once, whatever the surroundings say, and not into the checkout. Ansible's
# modules are packed and compiled once (callback_plugins/results.py, compiled_once). Benchmarks do neither.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(BUILD / "pycache")
if "PYTEST_XDIST_WORKER" not in os.environ:
    _made_once = tempfile.TemporaryDirectory(prefix="made-once-")
    os.environ["MADE_ONCE"] = _made_once.name


def _fail_skip(report):
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: in CI nothing may be skipped; this machine lacks what it needs. {reason}"


class HostsTogether(LoadScopeScheduling):
    """Whoever is idle takes the next test; but the tests of a file that share test hosts stay together.

    Spread over the workers they would start the same hosts, or the same cluster, again.
    """

    def _split_scope(self, nodeid):
        file, _colons, _test = nodeid.partition("::")
        return file if file.startswith(("tests/hosts/", "tests/kubernetes/")) else nodeid


def pytest_xdist_make_scheduler(config, log):
    return HostsTogether(config, log)


# First what needs nothing that is built meanwhile, then hosts and Kubernetes with the longest files in front, so that
# no worker has one of those left when the others have ended; the many short tests fill the end.
ORDER = (
    "tests/project/",
    "tests/integration/",
    "tests/hosts/test_partition.py",
    "tests/hosts/test_container_runtime.py",
    "tests/kubernetes/test_four_worlds.py",
    "tests/hosts/",
    "tests/kubernetes/",
)


def pytest_configure(config):
    if getattr(config.option, "dist", "no") != "no":
        config.option.loadscopereorder = False
        config.pluginmanager.register(MadeMeanwhile())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((place for place, start in enumerate(ORDER) if item.nodeid.startswith(start)), 9))


class MadeMeanwhile:
    """On a new machine what takes minutes is made beside the first tests: base systems and Kubernetes' programs.

    A test that needs them waits for them.
    """

    def __init__(self):
        self._processes = None

    def pytest_xdist_node_collection_finished(self, ids):
        if self._processes is None:
            self._processes = []
            if machines.missing() is None and any(one.startswith(("tests/hosts/", "tests/kubernetes/")) for one in ids):
                self._start(machines.__file__, "base", "bookworm-slurm")  # on bookworm
            if any(one.startswith("tests/kubernetes/") for one in ids):
                self._start(go_programs.__file__)

    def _start(self, *command):
        # In a group of its own, to be ended with all that it has started.
        self._processes.append(
            subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def pytest_sessionfinish(self):
        for process in self._processes or []:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _fail_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _fail_skip(report)
    return report


def pytest_terminal_summary(terminalreporter):
    """Say where the time went, and how each test that failed is run alone."""
    stats = terminalreporter.stats
    spent = collections.Counter()
    for report in itertools.chain.from_iterable(stats.values()):
        if isinstance(report, pytest.TestReport):
            spent["/".join(report.nodeid.split("/")[:2])] += report.duration
    if len(spent) > 1:
        terminalreporter.section("where the workers' time went")
        for folder, seconds in spent.most_common():
            terminalreporter.line(f"{seconds:7,.0f} s {folder}")
    reports = [*stats.get("failed", ()), *stats.get("error", ())]
    if tests := dict.fromkeys(report.nodeid.replace("$", "$$") for report in reports):
        terminalreporter.section("to run one of these alone")
        for test in tests:
            terminalreporter.line(f"make test TESTS='{test}'" if " " not in test else f"make test TESTS=\"'{test}'\"")


@pytest.fixture(scope="session")
def simulator():
    """The folder with the built simulated GPUs."""
    if not (SIMULATOR / "libnvidia-ml.so.1").exists():
        pytest.fail("build/simulator is not there: run `make simulator` first")
    return SIMULATOR


@pytest.fixture
def simulated_host(simulator, tmp_path):
    """A factory of simulated hosts: simulated_host("A100-SXM4-40GB:8", "--mig", name="a100")."""
    hosts = []

    def make(*arguments, name="gpu-host"):
        host = SimulatedHost(name, tmp_path / "hosts" / name)
        hosts.append(host)
        if arguments:
            host.simulator("init", *arguments)
        return host

    yield make
    for host in hosts:
        host.close()


@pytest.fixture(scope="module")
def systemd_hosts(simulator, main_environment, tmp_path_factory):
    """A factory of hosts with systemd: systemd_hosts({"a": [{"model": "A100-SXM4-40GB", "count": 8}]}) starts them.

    A name like trixie-1 or bookworm-slurm-1 takes that system of machines.py instead of bookworm; without GPUs ([]) a
    host is left as it is.
    They live as long as the module that uses them.
    """
    if reason := machines.missing():
        pytest.skip(reason)
    folders, hosts = [], []

    def start(gpus):
        folders.append(tmp_path_factory.mktemp("machines") / "hosts")
        hosts.extend(started := start_hosts(folders[-1], gpus, main_environment))
        return started

    yield start
    for host in hosts:
        host.close()
    for folder in folders:
        machines.down(folder)


@pytest.fixture(scope="module")
def kubernetes_cluster(tmp_path_factory):
    """A KubernetesCluster of a module's tests, without nodes."""
    with KubernetesCluster(tmp_path_factory.mktemp("kubernetes") / "cluster") as cluster:
        yield cluster


@pytest.fixture
def progress(request):
    """progress(name, total): a Progress, which shows its bar in `make prove` only."""
    return functools.partial(Progress, shown=not request.config.option.markexpr)


@pytest.fixture(scope="session")
def main_environment():
    """The environment that the tests themselves run in."""
    return environments.main_environment()


@pytest.fixture(scope="session", params=["oldest", pytest.param("newest", marks=pytest.mark.prove)])
def edge_environment(request):
    """The oldest and the newest supported pair of ansible-core and Python of which this machine has the Python."""
    found = environments.pair(request.param)
    if found is None:
        pytest.skip(f"no Python for the {request.param} supported ansible-core: {environments.CORES}")
    return environments.environment(*found)


@pytest.fixture
def run_playbook(main_environment, tmp_path):
    """Start a playbook on simulated hosts: run_playbook(playbook, hosts, check=..., diff=...) gives a playbook.Run."""
    numbers = itertools.count()
    runs = []

    def start(playbook, hosts, environment=main_environment, **options):
        run = Run(tmp_path / "runs" / str(next(numbers)), environment, playbook, hosts, **options)
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()
