"""Hostile peers: those that go half, or break off, at every stage. Each ends in time, with one cause."""

import signal
import socket

import ledger
from harness import *
from hostile_frames import under_attack

HALF_FRAME = frame(TEXT, b"half a frame")
STAGES = {
    "nothing": b"",
    "a byte of the head": b"G",
    "half a head": request()[:60],
    "a head but its last byte": request()[:-1],
    "the request": request(),
    "a byte of a frame": request() + HALF_FRAME[:1],
    "a frame's header": request() + HALF_FRAME[:2],
    "half a key": request() + HALF_FRAME[:4],
    "half a payload": request() + HALF_FRAME[:9],
    "a message": request() + frame(TEXT, b"whole"),
    "half a long message": request() + frame(BINARY, bytes(300_000))[:150_000],
    "a fragment": request() + frame(TEXT, b"begun", fin=False),
    "a ping": request() + frame(PING, b"?"),
    "half a ping": request() + frame(PING, b"?" * 100)[:50],
    "half a close": request() + frame(CLOSE, close_payload(1000, b"bye"))[:7],
    "a close": request() + frame(CLOSE, close_payload(1000)),
    "a wrong frame": request() + frame(3),
    "a wrong request": b"nonsense\r\n\r\n",
    "a request that is refused": request("/nowhere"),
}
UNFINISHED = {"handshake_abandoned"}
CAUSES_BY_STAGE = {
    "nothing": UNFINISHED,
    "a byte of the head": UNFINISHED,
    "half a head": UNFINISHED,
    "a head but its last byte": UNFINISHED,
    "a close": {"client_closed"},
    "a wrong frame": {"protocol_error"},
    "a wrong request": {"request_invalid"},
    "a request that is refused": {"handshake_refused"},
}


def read_to_end(client):
    """All bytes until the end, or the reset."""
    with contextlib.suppress(Ended, ConnectionResetError):
        while True:
            client.more()
    return client.buffer


@case("a peer that ends its side at any stage gets what it is owed, and the end")
def half_open():
    with under_attack() as daemon:
        for name, sent in STAGES.items():
            with Socket(daemon) as client:
                client.send(sent)
                client.socket.shutdown(socket.SHUT_WR)
                got = read_to_end(client)
                port = ledger.port_of(client)
            if sent.startswith(request()):
                assert got.startswith(b"HTTP/1.1 101 "), f"{name}: {got[:100]!r}"
            if name == "a message":
                assert got.endswith(frame(TEXT, b"whole", key=None)), got
            if name == "a ping":
                assert got.endswith(frame(PONG, b"?", key=None)), got
            if name == "a wrong request":
                assert got.startswith(b"HTTP/1.1 400 "), got
            assert ledger.cause_of(daemon, port) in CAUSES_BY_STAGE.get(name, {"connection_lost"}), name


@case("a peer that resets at any stage, before and after the daemon has looked: each ends once")
def resets():
    with under_attack("--schedulers", "1") as daemon, Client(daemon) as other:
        for name, sent in STAGES.items():
            for looks in (False, True):
                for waits in (False, True):
                    client = Socket(daemon)
                    client.send(sent)
                    if looks:
                        other.echo()  # one scheduler: it has looked at what was sent by now
                    if waits and sent.startswith(request()):
                        client.head()
                    port = ledger.port_of(client)
                    client.reset()
                    # Either may be seen first: the reset, or what was sent before it.
                    causes = CAUSES_BY_STAGE.get(name, set()) | UNFINISHED | {"connection_lost"}
                    assert ledger.cause_of(daemon, port) in causes, (name, looks, waits)


# What is going on when the peer resets: where, what it had sent, and what may have been the cause before.
BUSY = {
    "a close of ours": ("/echo", frame(3), "protocol_error"),
    "its close": ("/echo", frame(CLOSE), "client_closed"),
    "a megabyte of answers": ("/echo", frame(BINARY, bytes(1 << 20)) * 2, "slow_consumer"),
    "a handler that spins": ("/demo/spin", frame(TEXT, b"go"), "connection_lost"),
    "a handler that crashes": ("/demo/throw", frame(TEXT, b"go") * 2, "connection_lost"),
    "a handler that crashes too often": ("/demo/throw", frame(TEXT, b"go") * 5, "handler_crashed"),
    "a handler that recurses": ("/demo/deep", frame(TEXT, b"go"), "connection_lost"),
}


@case("a reset while we close, answer, compute, crash: each ends once, for the first thing that happened")
def resets_while_busy():
    with under_attack(close_timeout="200ms") as daemon:
        ports = {}
        for name, (path, sent, _) in BUSY.items():
            for _ in range(10):
                client = Client(daemon, path, receive_buffer=4_096)
                with contextlib.suppress(OSError):
                    client.send(sent)
                ports[ledger.port_of(client)] = name
                client.reset()
        for port, name in ports.items():
            assert ledger.cause_of(daemon, port) in {"connection_lost", BUSY[name][2]}, name


@case("a reset in the middle of a drain: the daemon ends as it should")
def resets_while_draining():
    for path, sent in [("/echo", b""), ("/echo", frame(BINARY, bytes(1 << 20))), ("/demo/spin", frame(TEXT, b"go"))]:
        with Daemon(log_level="debug", close_timeout="5s") as daemon:
            clients = [Client(daemon, path, receive_buffer=4_096) for _ in range(20)]
            for client in clients:
                client.send(sent)
            daemon.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.reset()
            equal(daemon.process.wait(DEADLINE), 0, path)
            assert set(ledger.each_ended_once(daemon)) <= {"connection_lost", "draining"}


@case("peers that fall silent without an end are given up by pings, whatever they had begun")
def silent():
    settings = {"ping_interval": "100ms", "pong_timeout": "100ms", "close_timeout": "100ms"}
    with under_attack(**settings) as daemon:
        clients = {}
        for name, sent in STAGES.items():
            if sent.startswith(request()) and name not in CAUSES_BY_STAGE:
                clients[name] = Socket(daemon)
                clients[name].send(sent)
        for name, client in clients.items():
            got = read_to_end(client)
            assert close_payload(1001) in got, f"{name}: {got!r}"
            equal(ledger.cause_of(daemon, ledger.port_of(client)), "pong_timeout", name)
            client.close()


@case("answers to data that came with the end are whole: a megabyte, 500 messages, pings")
def last_words():
    with under_attack() as daemon:
        for sent, expected in [
            (frame(BINARY, bytes(900_000)), frame(BINARY, bytes(900_000), key=None)),
            (frame(TEXT, b"a" * 50) * 500, frame(TEXT, b"a" * 50, key=None) * 500),
            (frame(PING, b"1") + frame(TEXT, b"2"), frame(PONG, b"1", key=None) + frame(TEXT, b"2", key=None)),
        ]:
            with Client(daemon) as client:
                client.send(sent)
                client.socket.shutdown(socket.SHUT_WR)
                equal(read_to_end(client), expected)


@case("a peer that ends its side and reads nothing is cut off at the deadline")
def half_open_without_reading():
    with under_attack(close_timeout="200ms", max_outbound_bytes="16MiB") as daemon:
        clients = [Client(daemon, receive_buffer=4_096) for _ in range(10)]
        for client in clients:
            client.send(frame(BINARY, bytes(1 << 20)) * 6)
            client.socket.shutdown(socket.SHUT_WR)
        for client in clients:
            equal(ledger.cause_of(daemon, ledger.port_of(client)), "connection_lost")
            client.close()


@case("a peer that goes on sending after the closing handshake is cut off at the deadline")
def babblers():
    with under_attack(close_timeout="300ms") as daemon:

        def babble(index):
            last = [frame(CLOSE), frame(3), frame(CLOSE, b"x"), frame(TEXT, b"\xff")][index % 4]
            with Client(daemon) as client:
                end = time.monotonic() + DEADLINE
                client.send(last)
                with contextlib.suppress(OSError):
                    while True:
                        client.send(frame(BINARY, bytes(1_000)))
                        assert time.monotonic() < end, "it is listened to for ever"

        together(8, babble)


@case("a peer that goes on sending after its request was refused is cut off, and so is one that never goes")
def refused_babblers():
    with under_attack() as daemon:

        def babble(index):
            with Socket(daemon) as client:
                client.send([request("/nowhere"), b"nonsense\r\n\r\n", request(method="POST")][index % 3])
                equal(client.head()[0] // 100, 4)
                port = ledger.port_of(client)
                end = time.monotonic() + DEADLINE
                if index < 3:
                    with contextlib.suppress(OSError):
                        while True:
                            client.send(bytes(1_000))
                            assert time.monotonic() < end, "it is listened to for ever"
                assert ledger.cause_of(daemon, port) in {"handshake_refused", "request_invalid"}

        together(6, babble)
