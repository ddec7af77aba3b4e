"""RFC 6455 §7: how connections end."""

import socket
import struct

from harness import *


def is_allowed(code):
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


@case("every close code, valid or not, gets the answer it must")
def every_code():
    with Daemon() as daemon:

        def check(part):
            for code in list(range(part, 5_002, 4)) + [65_535 - part]:
                with Client(daemon) as client:
                    client.send_frame(CLOSE, close_payload(code, b"bye"))
                    equal(client.receive_close(), code if is_allowed(code) else 1002, f"answer to {code}")
                    client.ended()

        together(4, check)
        still_well(daemon)


@case("a close without code is answered without code; frames behind it do not count")
def empty_close():
    with Daemon() as daemon, Client(daemon) as client:
        client.send(frame(TEXT, b"first") + frame(CLOSE) + frame(TEXT, b"late"))
        client.expect(TEXT, b"first")
        client.expect(CLOSE, b"")
        client.ended()


@case("a client that does not answer our close is cut off")
def close_timeout():
    with Daemon(close_timeout="200ms") as daemon:
        client = Client(daemon)
        client.send_frame(3)
        equal(client.receive_close(), 1002)
        client.ended()
        still_well(daemon)


@case("data before the end of the stream is handled and answered")
def half_open():
    with Daemon() as daemon:
        for payload in [b"last words", b"x" * 70_000, bytes(1 << 20)]:
            with Client(daemon) as client:
                client.send_frame(BINARY, payload)
                client.socket.shutdown(socket.SHUT_WR)
                client.expect(BINARY, payload)
                client.ended()
        still_well(daemon)


@case("the end of the stream inside a frame ends the connection")
def half_frame():
    with Daemon() as daemon:
        before = daemon.descriptors()
        for part in [frame(TEXT, b"abc")[:4], frame(BINARY, bytes(70_000))[:60_000], frame(TEXT, b"a", fin=False)]:
            with Client(daemon) as client:
                client.send(part)
                client.socket.shutdown(socket.SHUT_WR)
                client.ended()
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)
