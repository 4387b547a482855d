# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The kubelet's pod-resources service: which device it has given to which pod, and which devices it has.

It is gRPC on a unix socket, and no host has a gRPC library for Python. What one call with an empty request needs of it
is little enough to be written out: a fixed request in HTTP/2 (RFC 9113), the frames that answer it, and of the answer
four fields in protobuf. Headers are sent without compression and those that come are not looked at: an error
has no message, and a message without an end is no answer.
"""

from __future__ import annotations

import socket
import struct
import time

from ..visible import visible

METHOD = "/v1.PodResourcesLister/List"  # since Kubernetes 1.20
ALLOCATABLE = "/v1.PodResourcesLister/GetAllocatableResources"  # since Kubernetes 1.23
MOST_BYTES = 64 * 1024 * 1024
WINDOW = 2**31 - 1  # the largest there is, so that nothing has to be granted later

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8  # kinds of frames
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8  # flags of frames
INITIAL_WINDOW_SIZE = 4  # a setting
STREAM = 1
MESSAGE = struct.Struct(">?I")  # of gRPC: whether compressed, length
EMPTY_MESSAGE = MESSAGE.pack(False, 0)


def listed(path, seconds):
    """Yield (namespace, pod name, device id) of all devices that pods have; ``path`` is the kubelet's socket.

    Raises OSError where there is no such service, no permission or no answer within ``seconds``.
    """
    for _number, pod in fields(answer(path, METHOD, seconds), 1):
        names = {number: _text(value) for number, value in fields(pod, 1, 2)}
        for _container, container in fields(pod, 3):
            for _devices, devices in fields(container, 2):
                for _id, device in fields(devices, 2):
                    yield names.get(2), names.get(1), _text(device)


def allocatable(path, seconds):
    """{resource: [device id]} of the devices that may be given to pods, given already or not; raises as above."""
    found = {}
    for _number, devices in fields(answer(path, ALLOCATABLE, seconds), 1):
        (name,) = (_text(value) for _number, value in fields(devices, 1))
        found.setdefault(name, []).extend(_text(value) for _number, value in fields(devices, 2))
    return {name: sorted(ids) for name, ids in sorted(found.items())}


def _text(value):
    return visible(value.decode())


def answer(path, method, seconds):
    """The message that a gRPC method without arguments answers, as bytes; OSError where there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        stream = _Stream(connection, time.monotonic() + seconds)
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(_request(method))
        body = b""
        for kind, flags, number, payload in stream.frames():
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(_frame(SETTINGS, ACK))
            elif kind == PING and not flags & ACK:
                connection.sendall(_frame(PING, ACK, 0, payload))
            elif kind == GOAWAY or (kind == RST_STREAM and number == STREAM):
                raise OSError(f"{path} refused {method}")
            elif number == STREAM:
                if kind == DATA:
                    body += payload[1 : len(payload) - payload[0]] if flags & PADDED and payload else payload
                if kind in (DATA, HEADERS) and flags & END_STREAM:
                    break
        compressed, length = MESSAGE.unpack_from(body) if len(body) >= MESSAGE.size else (True, 0)
        if compressed or len(body) != MESSAGE.size + length:
            raise OSError(f"{path} has no answer to {method}")
        return body[MESSAGE.size :]


class _Stream:
    """The frames that come on a connection, until a deadline."""

    def __init__(self, connection, deadline):
        self._connection = connection
        self._deadline = deadline
        self._bytes = 0

    def frames(self):
        """Yield (kind, flags, stream, payload)."""
        while True:
            length, kind, flags, number = struct.unpack(">IBBI", b"\0" + self._read(9))
            yield kind, flags, number & 0x7FFFFFFF, self._read(length)

    def _read(self, size):
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise OSError("the answer is too long")
        chunks = []
        while size:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise OSError("no answer in time")
            self._connection.settimeout(left)
            chunk = self._connection.recv(min(size, 65536))
            if not chunk:
                raise OSError("the connection was closed")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


def _request(method):
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    # RFC 7541, 6.2.2: a literal with a new name, both without Huffman coding and shorter than 127 bytes.
    block = b"".join(
        b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in header) for header in headers.items()
    )
    return (
        PREFACE
        + _frame(SETTINGS, payload=struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW))
        + _frame(WINDOW_UPDATE, payload=struct.pack(">I", WINDOW - 65535))
        + _frame(HEADERS, END_HEADERS, STREAM, block)
        + _frame(DATA, END_STREAM, STREAM, EMPTY_MESSAGE)
    )


def _frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def fields(message, *wanted):
    """Yield (number, bytes) of those fields of a protobuf message that hold bytes and are wanted.

    Raises OSError where it is no such message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(message, at)
        elif kind == 0:
            size = _varint(message, at)[1] - at
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise OSError("the answer is no protobuf message")
        if at + size > len(message):
            raise OSError("the answer ends too early")
        if kind == 2 and key >> 3 in wanted:
            yield key >> 3, message[at : at + size]
        at += size


def _varint(message, at):
    """(value, where it ends) of the number that begins there."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise OSError("the answer ends too early")
