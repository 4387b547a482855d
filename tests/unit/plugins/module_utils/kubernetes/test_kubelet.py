# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kubelet has given to which pod: its checkpoint, its socket, the names of pods."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes import kubelet
from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.kubelet import allocations, checkpoint_entries
from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.pod_resources import (
    ALLOCATABLE,
    METHOD,
    allocatable,
    fields,
    listed,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Pod

HERE, GONE = "5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11", "2c48913c-b29f-11e7-9350-020968147796"
MIG, OTHER = "MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07", "MIG-3865483f-9559-58f2-95b1-401a95d3bdd7"


def entry(uid, devices, resource="nvidia.com/mig-1g.5gb"):
    return {
        "PodUID": uid,
        "ContainerName": "main",
        "ResourceName": resource,
        "DeviceIDs": devices,
        "AllocResp": "CkIKFk5WSURJQQ==",
    }


def checkpoint(*entries):
    return json.dumps(
        {"Data": {"PodDeviceEntries": list(entries), "RegisteredDevices": {"nvidia.com/gpu": []}}, "Checksum": 1}
    )


@pytest.fixture
def host(tmp_path):
    """A host with a kubelet and one pod, ml/train-0: (its /var/lib/kubelet, its /var/log/pods)."""
    directory, logs = tmp_path / "kubelet", tmp_path / "logs"
    for path in (
        directory / "device-plugins",
        directory / "pod-resources",
        directory / "pods" / HERE,
        logs / f"ml_train-0_{HERE}",
        logs / f"ml_train-0_{GONE}",
        logs / "other",
    ):
        path.mkdir(parents=True)
    return directory, logs


def write_checkpoint(host, text):
    (host[0] / "device-plugins" / "kubelet_internal_checkpoint").write_text(text, encoding="utf-8")


def test_a_checkpoint_lists_devices_of_pods():
    text = checkpoint(entry(HERE, {"-1": [MIG], "0": [OTHER]}), entry(GONE, ["GPU-1"]), entry(GONE, {}))
    assert checkpoint_entries(text) == [(MIG, HERE), (OTHER, HERE), ("GPU-1", GONE)]


def test_a_checkpoint_without_entries():
    assert checkpoint_entries('{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":1}') == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"Data": {}}',
        '{"Data": {"PodDeviceEntries": [1]}}',
        '{"Data": {"PodDeviceEntries": [{"DeviceIDs": 3, "PodUID": "a"}]}}',
        checkpoint({"PodUID": HERE}),
    ],
)
def test_what_is_no_checkpoint_is_a_value_error(text):
    with pytest.raises(ValueError):
        checkpoint_entries(text)


def test_no_kubelet_has_given_nothing(tmp_path):
    assert allocations(str(tmp_path / "none")) == ({}, None)


def test_a_kubelet_that_has_given_nothing_yet(host):
    assert allocations(*map(str, host)) == ({}, None)


def test_a_device_of_a_pod_that_is_here(host):
    write_checkpoint(host, checkpoint(entry(HERE, {"-1": [f"{MIG}::2", "other-device"]}), entry(GONE, {"-1": [OTHER]})))
    assert allocations(*map(str, host)) == ({MIG: (Pod(HERE, "ml", "train-0"),)}, None)


def test_a_pod_without_logs_is_known_by_its_uid(host, tmp_path):
    write_checkpoint(host, checkpoint(entry(HERE, {"-1": [MIG]})))
    assert allocations(str(host[0]), str(tmp_path / "none")) == ({MIG: (Pod(HERE),)}, None)


def test_a_checkpoint_that_cannot_be_understood_is_a_problem_and_not_nothing(host):
    write_checkpoint(host, "{")
    allocated, problem = allocations(*map(str, host))
    assert allocated == {}
    assert problem


def field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value


def pod_message(namespace, name, *devices):
    inside = field(1, b"nvidia.com/mig-1g.5gb") + b"".join(field(2, device.encode()) for device in devices)
    container = field(1, b"main") + field(2, inside) + b"\x18\x01" + b"\x25\0\0\0\0"
    return field(1, field(1, name.encode()) + field(2, namespace.encode()) + field(3, container))


def frame(kind, flags, stream, payload):
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def data(message, flags=0):
    return frame(0, flags, 1, struct.pack(">?I", False, len(message)) + message)


SETTINGS, PING, HEADERS, TRAILERS = (
    frame(4, 0, 0, b""),
    frame(6, 0, 0, b"12345678"),
    frame(1, 4, 1, b"\x88"),
    frame(1, 5, 1, b"\x00"),
)


@pytest.fixture
def serve(tmp_path):
    """serve(path, bytes): a socket at path that answers the next request with them; the request, once it is there."""
    threads = []

    def start(path, answer):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        request = []

        def accept():
            with server, server.accept()[0] as connection:
                request.append(connection.recv(65536))
                connection.sendall(answer)
                while answer and connection.recv(65536):
                    pass

        thread = threading.Thread(target=accept)
        thread.start()
        threads.append(thread)
        return request

    yield start
    for thread in threads:
        thread.join()


@given(binary(max_size=60))
def test_any_bytes_are_fields_or_an_oserror(message):
    with contextlib.suppress(OSError):
        assert all(value in message for _number, value in fields(message, 1, 2, 3))


def test_the_socket_knows_the_pods_that_are_alive(host, serve):
    write_checkpoint(host, checkpoint(entry(GONE, {"-1": [OTHER]})))
    message = pod_message("ml", "train-0", MIG, "other-device") + pod_message("ml", "new-0", OTHER)
    request = serve(host[0] / "pod-resources" / "kubelet.sock", SETTINGS + PING + HEADERS + data(message) + TRAILERS)
    found = {MIG: (Pod(HERE, "ml", "train-0"),), OTHER: (Pod(None, "ml", "new-0"),)}
    assert allocations(*map(str, host)) == (found, None)
    assert request[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert METHOD.encode() in request[0]


NEW = "a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80"


@pytest.mark.parametrize(
    ("entries", "uid"),
    [
        ([entry(NEW, {"-1": [OTHER]})], NEW),
        ([entry(NEW, {"-1": [MIG]})], None),
        # Two that could be it, and one that is known by another name.
        ([entry(NEW, {"-1": [OTHER]}), entry(GONE, {"-1": [OTHER]})], None),
        ([entry(HERE, {"-1": [OTHER]})], None),
    ],
)
def test_the_checkpoint_has_the_uid_of_a_pod_that_has_not_begun(host, serve, entries, uid):
    for one in (NEW, GONE):
        (host[0] / "pods" / one).mkdir()
    (host[1] / f"ml_train-0_{GONE}").rmdir()
    write_checkpoint(host, checkpoint(*entries))
    message = pod_message("ml", "new-0", OTHER)
    serve(host[0] / "pod-resources" / "kubelet.sock", SETTINGS + HEADERS + data(message) + TRAILERS)
    assert allocations(*map(str, host)) == ({OTHER: (Pod(uid, "ml", "new-0"),)}, None)


def test_a_message_may_come_in_pieces(tmp_path, serve):
    message = pod_message("ml", "train-0", MIG)
    whole = data(message)[9:]
    pieces = [frame(0, 8, 1, b"\x02" + whole[:7] + b"\0\0"), frame(0, 0, 1, whole[7:20]), frame(0, 1, 1, whole[20:])]
    serve(tmp_path / "socket", SETTINGS + HEADERS + b"".join(pieces))
    assert list(listed(str(tmp_path / "socket"), 5)) == [("ml", "train-0", MIG)]


def test_the_devices_that_pods_may_get_are_by_resource(tmp_path, serve):
    small, large = b"nvidia.com/mig-1g.5gb", b"nvidia.com/mig-3g.20gb"
    # The kubelet tells each device apart, with the NUMA nodes of it.
    devices = [(small, OTHER), (large, "MIG-large"), (small, MIG)]
    message = b"".join(field(1, field(1, name) + field(2, one.encode()) + field(3, b"")) for name, one in devices)
    request = serve(tmp_path / "socket", SETTINGS + HEADERS + data(message) + TRAILERS)
    assert allocatable(str(tmp_path / "socket"), 5) == {
        "nvidia.com/mig-1g.5gb": [OTHER, MIG],
        "nvidia.com/mig-3g.20gb": ["MIG-large"],
    }
    assert ALLOCATABLE.encode() in request[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        SETTINGS + TRAILERS,
        SETTINGS + HEADERS + data(b"\x0a\x7f", 1),
        SETTINGS + HEADERS + data(b"\x0b", 1),
        SETTINGS + HEADERS + frame(0, 1, 1, b"\0\0\0\0\x09short"),
        SETTINGS + HEADERS + frame(0, 1, 1, b"\1\0\0\0\0"),
        SETTINGS + frame(3, 0, 1, b"\0\0\0\2"),
        SETTINGS + frame(7, 0, 0, b"\0" * 8),
        frame(4, 0, 0, b"") + b"\xff\xff\xff\0\0\0\0\0\0",
    ],
    ids=[
        "nothing",
        "HTTP/1",
        "error",
        "cut",
        "no protobuf",
        "cut message",
        "compressed",
        "reset",
        "go away",
        "endless",
    ],
)
def test_what_is_no_answer_falls_back_to_the_checkpoint(host, serve, answer, monkeypatch):
    monkeypatch.setattr(kubelet, "SECONDS", 0.5)
    write_checkpoint(host, checkpoint(entry(HERE, {"-1": [MIG]})))
    serve(host[0] / "pod-resources" / "kubelet.sock", answer)
    assert allocations(*map(str, host)) == ({MIG: (Pod(HERE, "ml", "train-0"),)}, None)
