"""Peers that break off, vanish, dawdle and flood."""

import signal
import socket
import struct
import subprocess
import sys

from harness import *


@case("a reset in the middle of a frame, of a head, of a message")
def resets():
    with Daemon() as daemon:
        before = daemon.descriptors()
        for _ in range(100):
            for part in [
                b"",
                request()[:50],
                request(),
                request() + frame(BINARY, bytes(100_000))[:50_000],
                request() + frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b" * 500)[:3],
            ]:
                client = Socket(daemon)
                client.send(part)
                client.reset()
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)


@case("a reset while the daemon has megabytes for the peer")
def reset_with_output():
    with Daemon(max_outbound_bytes="64MiB") as daemon:
        before = daemon.descriptors()
        clients = []
        for _ in range(10):
            client = Client(daemon, receive_buffer=4_096)
            for _ in range(4):
                client.send_frame(BINARY, bytes(1 << 20))
            clients.append(client)
        for client in clients:
            client.reset()
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)


CLIENT = """
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
sockets = []
for _ in range(200):
    s = socket.create_connection((host, int(port)))
    s.sendall(bytes.fromhex(sys.argv[2]))
    sockets.append(s)
print("ready", flush=True)
sys.stdin.read()
"""


@case("clients that are killed, with half a message on the way")
def killed():
    with Daemon() as daemon:
        before = daemon.descriptors()
        sent = request() + frame(TEXT, b"whole") + frame(BINARY, bytes(1_000))[:500]
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, daemon.address, sent.hex()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        equal(process.stdout.readline(), "ready\n")
        eventually(lambda: daemon.descriptors() >= before + 200, "200 connections")
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)


@case("10,000 clients that connect and vanish, at every stage")
def vanish():
    stages = [
        b"",
        b"GET",
        request(),
        request() + frame(TEXT, b"a"),
        request() + frame(CLOSE),
        request() + frame(PING)[:3],
        request() + frame(BINARY, bytes(2_000))[:1_500],
        b"\x00" * 100,
    ]
    with Daemon() as daemon:
        before = daemon.descriptors()
        stop = threading.Event()
        answered = []

        def bystander():
            with Client(daemon) as client:
                while not stop.is_set():
                    client.echo(b"still here")
                    answered.append(1)

        watcher = threading.Thread(target=bystander, daemon=True)
        watcher.start()

        def part(index):
            for number in range(2_500):
                client = Socket(daemon)
                client.send(stages[number % len(stages)])
                if number // len(stages) % 2:
                    client.reset()
                else:
                    client.close()

        together(4, part)
        stop.set()
        watcher.join(DEADLINE)
        assert len(answered) > 10, f"the bystander was answered {len(answered)} times"
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)


@case("a flood of pings by a client that never reads is bounded")
def ping_flood():
    with Daemon(close_timeout="200ms") as daemon:
        clients = [Client(daemon, receive_buffer=4_096) for _ in range(4)]
        before = daemon.rss()
        many = frame(PING, b"p" * 125) * 4_000

        def flood(index):
            clients[index].socket.settimeout(2)
            with contextlib.suppress(OSError):
                for _ in range(60):
                    clients[index].send(many)

        together(4, flood)
        assert daemon.rss() - before < 32 << 20, f"grew by {daemon.rss() - before}"
        daemon.echoes()
        for client in clients:
            client.close()
        still_well(daemon)


@case("a ping flood by a client that reads late is answered: its latest ping at least")
def late_reader():
    with Daemon() as daemon, Client(daemon, receive_buffer=4_096) as client:
        total = 60_000
        sender = threading.Thread(
            target=lambda: client.send(
                b"".join(frame(PING, struct.pack(">I", number) * 30) for number in range(total))
            ),
            daemon=True,
        )
        sender.start()
        sender.join(DEADLINE)
        assert not sender.is_alive()
        last = -1
        while last != total - 1:
            opcode, payload = client.receive()
            equal(opcode, PONG)
            number = struct.unpack(">I", payload[:4])[0]
            assert number > last, "pongs in the order of their pings"
            last = number


@case("a flood of tiny frames does not starve the others")
def fairness():
    with Daemon("--schedulers", "1") as daemon:
        flooder = Client(daemon)
        stop = threading.Event()
        many = frame(TEXT, b"f") * 5_000

        def flood():
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    flooder.send(many)

        def swallow():
            with contextlib.suppress(OSError):
                while flooder.socket.recv(1 << 20):
                    pass

        for work in (flood, swallow):
            threading.Thread(target=work, daemon=True).start()
        with Client(daemon) as client:
            times = []
            for _ in range(300):
                begin = time.monotonic()
                client.echo()
                times.append(time.monotonic() - begin)
        stop.set()
        flooder.close()
        times.sort()
        assert times[len(times) // 2] < 0.5, f"the median echo took {times[len(times) // 2]:.3f} s"
        still_well(daemon)


@case("100 connections, each a different message in each hand, never mixed up")
def many_at_once():
    with Daemon() as daemon:

        def talk(index):
            with Client(daemon) as client:
                for number in range(50):
                    payload = f"{index}:{number}:".encode() * (1 + number * index % 400)
                    client.send(frame(TEXT, payload) + frame(BINARY, payload[::-1]))
                    client.expect(TEXT, payload)
                    client.expect(BINARY, payload[::-1])

        together(100, talk)
        still_well(daemon)
