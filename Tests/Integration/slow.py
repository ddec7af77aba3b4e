"""Clients that do not read."""

import struct

from harness import *


def frames_until_end(client):
    """All that still comes, frame by frame; the last may be cut short by a reset."""
    frames = []
    with contextlib.suppress(Ended, ConnectionResetError):
        while True:
            frames.append(client.receive())
            if frames[-1][0] == CLOSE:
                client.send_frame(*frames[-1])
    return frames


@case("policy close: 1008 behind whole messages, nothing after it, memory bounded")
def closes():
    with Daemon(close_timeout="10s", ping_interval="0") as daemon:
        clients = [Client(daemon, receive_buffer=4_096) for _ in range(8)]
        before = daemon.rss()

        def flood(index):
            with contextlib.suppress(OSError):
                for number in range(160):
                    clients[index].send_frame(BINARY, struct.pack(">I", number) * 16_384)

        together(8, flood)
        assert daemon.rss() - before < 48 << 20, f"grew by {daemon.rss() - before}"
        daemon.echoes()

        def read(index):
            frames = frames_until_end(clients[index])
            for number, (opcode, payload) in enumerate(frames[:-1]):
                equal((opcode, payload), (BINARY, struct.pack(">I", number) * 16_384))
            equal(frames[-1][0], CLOSE)
            equal(frames[-1][1][:2], struct.pack(">H", 1008))
            clients[index].close()

        together(8, read)
        still_well(daemon)


@case("a client that never reads and never closes is cut off, and its memory given back")
def cut_off():
    with Daemon(close_timeout="200ms") as daemon:
        before = daemon.descriptors()
        clients = [Client(daemon, receive_buffer=4_096) for _ in range(20)]

        def flood(index):
            with contextlib.suppress(OSError):
                for _ in range(400):
                    clients[index].send_frame(BINARY, bytes(65_536))

        together(20, flood)
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        for client in clients:
            client.close()
        still_well(daemon)


@case("policy drop-oldest: whole frames in order, the newest kept, pings answered, memory bounded")
def drops():
    with Daemon(slow_consumer="drop-oldest", max_outbound_bytes="256KiB") as daemon:
        client = Client(daemon, receive_buffer=4_096)
        before = daemon.rss()
        count = 4_000
        for number in range(count):
            client.send_frame(BINARY, struct.pack(">I", number) * 1_024)
        client.send_frame(PING, b"last")
        assert daemon.rss() - before < 16 << 20, f"grew by {daemon.rss() - before}"
        numbers, pong = [], False
        while not (pong and numbers and numbers[-1] == count - 1):
            opcode, payload = client.receive()
            if opcode == PONG:
                equal(payload, b"last")
                pong = True
                continue
            equal((opcode, len(payload)), (BINARY, 4_096))
            number = struct.unpack(">I", payload[:4])[0]
            equal(payload, struct.pack(">I", number) * 1_024)
            numbers.append(number)
        equal(numbers, sorted(set(numbers)))
        assert len(numbers) < count, "nothing was dropped"
        client.echo(b"and on")
        client.close_properly()
        still_well(daemon)
