# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test hosts: Debian with a real systemd, SSH and sudo, each in a systemd-nspawn of its own, on a bridge of their own.

machines.py up FOLDER NAME[:SYSTEM]...   start them, return when all are up; FOLDER/hosts.json says how to reach them
machines.py down FOLDER                  end them and remove what they were
machines.py base SYSTEM...               only make the cached base systems, in build/machines

A system is a release of Debian, bookworm or trixie, or one with more in it: bookworm-slurm, trixie-slurm.

Between up and down one process, the supervisor, owns everything: the number that gives the bridge its name and its
addresses (a locked file), the overlay mounts (in a mount namespace of its own) and the machines (in process
namespaces of their own, which end with it). Whatever way it ends, nothing of them runs or is mounted any longer,
and the bridge goes with the next down, or when the number is taken again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
import secrets
import select
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# What belongs to a run of supervisors; paths of SSH's control sockets must be short.
RUN = Path("/run/mig-machines")
BASES = Path(__file__).resolve().parent.parent.parent / "build" / "machines"
BRIDGE = "migbr{}"  # short: the kernel allows 15 characters, and the hosts' ends are named after it
# RFC 2544 sets these addresses aside for test beds.
NETWORKS = list(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
# Where systemd's hierarchies can be: the unified one, alone or beside the old one of its own.
CGROUPS = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")]
RELEASES = ("bookworm", "trixie")
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "openssh-server", "sudo", "iproute2")
# Slurm, to be configured and started by whoever uses it. Its NVML plugin is in contrib and depends on a driver.
SLURM_PACKAGES = ("munge", "slurm-client", "slurmctld", "slurmd")
SLURM_PREPARE = f"""
sed -i 's/ main$/ main contrib/' /etc/apt/sources.list
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends {" ".join(SLURM_PACKAGES)}
systemctl disable munge.service slurmctld.service slurmd.service
cd /tmp
apt-get -qq download slurm-wlm-nvml-plugin
dpkg --extract slurm-wlm-nvml-plugin_*.deb /
rm -rf slurm-wlm-nvml-plugin_*.deb /var/cache/apt/* /var/lib/apt/lists/* /etc/machine-id
"""
# What is in a base system beside its release: packages, and what is done in it.
MORE = {"slurm": (SLURM_PACKAGES, SLURM_PREPARE)}
SYSTEMS = (*RELEASES, *(f"{release}-{more}" for release in RELEASES for more in MORE))
PROGRAMS = ("debootstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen", "setpriv", "unshare")
USER = "ops"
# A process namespace ends with its first process, its mounts end with it, and it ends with the thread that started it.
ISOLATED = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc"
# In the new base system: a user with sudo, keys where a host's own layer can put them, and the network up at boot.
PREPARE = f"""
useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}
chmod 0440 /etc/sudoers.d/{USER}
echo 'AuthorizedKeysFile /etc/ssh/authorized_keys' > /etc/ssh/sshd_config.d/keys.conf
systemctl enable systemd-networkd.service
systemctl disable systemd-networkd-wait-online.service
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer console-getty.service
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /etc/machine-id
"""
REBOOT = 133  # how systemd-nspawn ends when the machine inside asked for a reboot


def missing():
    """Why this machine cannot have test hosts: a sentence, or None."""
    if os.geteuid():
        return "test hosts need root"
    if lacking := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"test hosts need the programs {', '.join(lacking)}"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "test hosts need the right to mount (CAP_SYS_ADMIN), which a container has when it is privileged"
    return None


def base(system):
    """The folder with that base system, made if need be; one with more in it from the one without. The second waits."""
    release, _dash, more = system.partition("-")
    packages, prepare = MORE[more] if more else (PACKAGES, PREPARE)
    below = base(release) if more else None
    parts = [below.name if below else release, *packages, prepare]
    wanted = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    folder = BASES / f"{system}-{wanted}"
    BASES.mkdir(parents=True, exist_ok=True)
    with open(BASES / f".{system}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = BASES / f".{system}.new"
            shutil.rmtree(new, ignore_errors=True)
            if below:
                _run("cp", "-a", str(below), str(new))
            else:
                options = ["--variant=minbase", f"--include={','.join(packages)}"]
                _run(*ISOLATED.split(), "debootstrap", *options, release, str(new))
            _run(*ISOLATED.split(), "chroot", str(new), "/bin/sh", "-euc", prepare)
            new.rename(folder)
    return folder


def _run(*command):
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {answer.returncode}\n{answer.stdout}{answer.stderr}")
    return answer.stdout


class Machine:
    """One host, as its supervisor sees it."""

    def __init__(self, name, system, folder, network, bridge, place):
        self.name = name
        self.folder = folder / name
        self.address = network[10 + place]
        self.prefix = network.prefixlen
        self.bridge = bridge
        # Unique on this machine.
        self.interface = f"{bridge}-{place}"
        self.cgroups = [path / self.interface for path in CGROUPS if (path / "cgroup.procs").exists()]
        self.process = None
        for layer in ("upper", "work", "merged"):
            (self.folder / layer).mkdir(parents=True)
        (self.folder / "cable").write_text(f"vb-{self.interface}\n", encoding="utf-8")
        self._write_layer()
        options = f"lowerdir={base(system)},upperdir={self.folder}/upper,workdir={self.folder}/work"
        _run("mount", "-t", "overlay", "overlay", "-o", options, str(self.folder / "merged"))

    def _write_layer(self):
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n{self.address} {self.name}\n",
            "etc/machine-id": f"{secrets.token_hex(16)}\n",
            # A name that sorts before systemd's own 80-container-host0.network.
            "etc/systemd/network/10-host0.network": "[Match]\nName=host0\n\n[Network]\nLinkLocalAddressing=no\n"
            f"Address={self.address}/{self.prefix}\n",
            "etc/ssh/authorized_keys": (self.folder.parent / "key.pub").read_text(encoding="utf-8"),
        }
        for name, text in files.items():
            path = self.folder / "upper" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def start(self):
        """Switch it on."""
        self._remove_cable()
        for cgroup in self.cgroups:
            cgroup.mkdir(exist_ok=True)
        join = "".join(f"echo 0 > {cgroup}/cgroup.procs; " for cgroup in self.cgroups)
        nspawn = (
            f"exec systemd-nspawn --boot --directory={self.folder}/merged --machine={self.interface} --register=no"
            f" --hostname={self.name} --keep-unit --network-bridge={self.bridge} --bind-ro=/sys/module --console=pipe"
        )
        with open(self.folder / "console", "ab") as console:
            self.process = subprocess.Popen(
                [*ISOLATED.split(), "sh", "-euc", join + nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        (self.folder / "pid").write_text(f"{self.process.pid}\n", encoding="utf-8")

    def _remove_cable(self):
        # After a power cut it is there for a while yet, longer where the kernel is busy.
        subprocess.run(["ip", "link", "delete", f"vb-{self.interface}"], capture_output=True, check=False)

    def ended(self):
        """Its end: start it again after a reboot and after a power cut, leave it when it was powered off."""
        status = self.process.wait()
        with open(self.folder / "console", "a", encoding="utf-8") as console:
            print(f"machines.py: ended with {status}", file=console)
        self.process = None
        cut = self.folder / "power_cut"
        if status == REBOOT or cut.exists():
            cut.unlink(missing_ok=True)
            self.start()

    def end(self):
        """Cut the power for good."""
        if self.process:
            kill_machine(self.process.pid)
            self.process.wait()
        self._remove_cable()
        for cgroup in self.cgroups:
            for folder, _folders, _files in os.walk(cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _lock(number):
    """The descriptor of that number's locked file, or None when a supervisor has it."""
    RUN.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(RUN / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    # What a supervisor left that was killed.
    subprocess.run(["ip", "link", "delete", BRIDGE.format(number)], capture_output=True, check=False)
    return lock


def _take_number():
    """(number, descriptor of its locked file) of the first free number; its network is in nobody's use."""
    for number, network in enumerate(NETWORKS):
        lock = _lock(number)
        if lock is None:
            continue
        routes = [route["dst"] for route in json.loads(_run("ip", "-json", "-4", "route", "show", "table", "all"))]
        if not any(network.overlaps(ipaddress.ip_network(dst)) for dst in routes if dst != "default"):
            return number, lock
        os.close(lock)
    raise SystemExit("no free network in 198.18.0.0/15 for the test hosts")


def remove_leftovers():
    """Remove the bridges of supervisors that were killed."""
    for path in RUN.glob("*.lock"):
        lock = _lock(path.stem)
        if lock is not None:
            os.close(lock)


def supervise(folder, wanted, owner):
    """Start the machines and keep them until SIGTERM, or until the process ``owner`` ends."""
    number, lock = _take_number()
    bridge, network = BRIDGE.format(number), NETWORKS[number]
    sockets = RUN / str(number)
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir(mode=0o700)
    machines = []
    selector = selectors.DefaultSelector()
    wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: None)
    selector.register(wakeup, selectors.EVENT_READ)
    if owner:
        selector.register(os.pidfd_open(owner), selectors.EVENT_READ)
    try:
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "address", "add", f"{network[1]}/{network.prefixlen}", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        # A host that is not up yet is known to be missing after a third of a second instead of three.
        Path(f"/proc/sys/net/ipv4/neigh/{bridge}/retrans_time_ms").write_text("100", encoding="ascii")
        for place, (name, system) in enumerate(wanted.items()):
            machine = Machine(name, system, folder, network, bridge, place)
            machines.append(machine)
        for machine in machines:
            machine.start()
            selector.register(os.pidfd_open(machine.process.pid), selectors.EVENT_READ, machine)
        _publish(folder, machines, sockets)
        print("started", flush=True)
        while True:
            for key, _events in selector.select():
                if key.data is None:
                    return
                selector.unregister(key.fd)
                os.close(key.fd)
                key.data.ended()
                if key.data.process:
                    selector.register(os.pidfd_open(key.data.process.pid), selectors.EVENT_READ, key.data)
    finally:
        for machine in machines:
            machine.end()
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)
        _close_connections(sockets)
        shutil.rmtree(sockets, ignore_errors=True)
        os.close(lock)


def _publish(folder, machines, sockets):
    reached = {
        machine.name: {
            "ansible_host": str(machine.address),
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(folder / "key"),
            "ansible_ssh_common_args": " ".join(SSH_OPTIONS),
            # Ansible's own, without compression: nothing leaves this machine.
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
            "ansible_control_path_dir": str(sockets),
            "ansible_control_path": f"%(directory)s/%%r@{machine.name}",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
            # All hosts share the cores of this machine.
            "ansible_timeout": 30,
        }
        for machine in machines
    }
    temporary = folder / "hosts.json.new"
    temporary.write_text(json.dumps(reached, indent=2), encoding="utf-8")
    temporary.rename(folder / "hosts.json")


# The machines are new each time, and nobody else can be on their bridge.
SSH_OPTIONS = ("-o StrictHostKeyChecking=no", "-o UserKnownHostsFile=/dev/null", "-o LogLevel=ERROR")


def ssh_command(host):
    """The command line that reaches a host of hosts.json, without a control connection."""
    options = [word for option in SSH_OPTIONS for word in option.split()]
    options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ControlPath=none"]
    options += ["-i", host["ansible_ssh_private_key_file"]]
    return ["ssh", *options, f"{host['ansible_user']}@{host['ansible_host']}"]


def _close_connections(sockets, name="*"):
    for path in sockets.glob(f"*@{name}"):
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={path}", "-"], capture_output=True, check=False)


def wait_until_up(host, *, boot_after=None, deadline=120):
    """Wait until the host has finished its boot, and another one than ``boot_after``: its boot id.

    Fails after ``deadline`` seconds with what SSH said last.
    """
    end = time.monotonic() + deadline
    command = ["cat /proc/sys/kernel/random/boot_id && systemctl is-system-running --wait"]
    while True:
        answer = subprocess.run([*ssh_command(host), *command], capture_output=True, text=True, check=False)
        boot, _newline, state = answer.stdout.strip().partition("\n")
        if boot != boot_after and state in ("running", "degraded"):
            return boot
        if time.monotonic() > end:
            raise TimeoutError(f"{host['ansible_host']} is not up after {deadline} s: {answer.stdout}{answer.stderr}")
        time.sleep(0.1)  # between two attempts to connect


def up(folder, wanted, owner=None):
    """Start hosts {name: system} and wait until all are up; returns what hosts.json says."""
    for name, system in wanted.items():
        if not re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
            raise SystemExit(f"{name} is no name for a host: it has small letters, digits and, between them, dashes")
        if system not in SYSTEMS:
            raise SystemExit(f"{name}: there are hosts with {', '.join(SYSTEMS)}, not with {system}")
    folder.mkdir(parents=True)
    for system in set(wanted.values()):
        base(system)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    command = ["unshare", "--mount", sys.executable, __file__, "supervise", str(folder), json.dumps(wanted)]
    log = folder / "supervisor.log"
    with open(log, "wb") as errors:
        supervisor = subprocess.Popen(
            [*command, str(owner or 0)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    (folder / "supervisor").write_text(f"{supervisor.pid}\n", encoding="utf-8")
    try:
        with supervisor.stdout:
            if not supervisor.stdout.readline():
                raise SystemExit(log.read_text(encoding="utf-8"))
        reached = hosts(folder)
        for name, host in reached.items():
            try:
                wait_until_up(host)
            except TimeoutError as error:
                console = (folder / name / "console").read_text(encoding="utf-8", errors="replace")
                raise SystemExit(f"{name}: {error}\n{console[-4000:]}{log.read_text(encoding='utf-8')}") from None
    except BaseException:
        down(folder)
        raise
    return reached


def down(folder):
    """End the hosts of that folder and remove it; nothing there is no error."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        process = int((folder / "supervisor").read_text(encoding="utf-8"))
        supervisor = os.pidfd_open(process)
        # Another process may have got the id of one that was killed.
        if str(folder) in Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0"):
            signal.pidfd_send_signal(supervisor, signal.SIGTERM)
            select.select([supervisor], [], [])  # readable when it has ended
        os.close(supervisor)
    remove_leftovers()
    shutil.rmtree(folder, ignore_errors=True)


def kill_machine(process):
    """Kill all processes of a machine at once; ``process`` is its unshare, which waits for them."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8").split()
    for victim in children or [process]:
        os.kill(int(victim), signal.SIGKILL)


def cut_power(folder, name):
    """Kill everything on that host at once; its supervisor starts it again."""
    (folder / name / "power_cut").touch()
    kill_machine(int((folder / name / "pid").read_text(encoding="utf-8")))
    # They would hang until SSH gives up.
    _close_connections(Path(hosts(folder)[name]["ansible_control_path_dir"]), name)


def plug(folder, name, state):
    """Take the network cable out of that host (``state`` "down") or put it in again ("up")."""
    _run("ip", "link", "set", (folder / name / "cable").read_text(encoding="utf-8").strip(), state)
    if state == "up":
        # TCP waits longer and longer before it tries again: a connection from before would hang on for minutes.
        _close_connections(Path(hosts(folder)[name]["ansible_control_path_dir"]), name)


def hosts(folder):
    """{name: how Ansible reaches it} of the hosts of that folder."""
    return json.loads((folder / "hosts.json").read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up")
    verb.add_argument("folder", type=Path)
    verb.add_argument("host", nargs="+", help="NAME[:SYSTEM]")
    verb.add_argument(
        "--owner",
        type=int,
        default=os.environ.get("MIG_MACHINES_OWNER"),
        help="id of the process with which the hosts end (MIG_MACHINES_OWNER); without one they stay until down",
    )
    verbs.add_parser("down").add_argument("folder", type=Path)
    verbs.add_parser("base").add_argument("system", nargs="+", choices=SYSTEMS)
    verb = verbs.add_parser("supervise")
    verb.add_argument("folder", type=Path)
    verb.add_argument("wanted", type=json.loads)
    verb.add_argument("owner", type=int)
    arguments = parser.parse_args()
    if reason := missing():
        raise SystemExit(reason)
    if arguments.verb == "up":
        names = (host.partition(":") for host in arguments.host)
        wanted = {name: system or SYSTEMS[0] for name, _colon, system in names}
        json.dump(up(arguments.folder.resolve(), wanted, arguments.owner), sys.stdout, indent=2)
    elif arguments.verb == "down":
        down(arguments.folder.resolve())
    elif arguments.verb == "base":
        for system in arguments.system:
            print(base(system))
    else:
        supervise(arguments.folder, arguments.wanted, arguments.owner)


if __name__ == "__main__":
    main()
