"""SIGTERM."""

import signal

from harness import *


def is_refused(daemon):
    try:
        Socket(daemon).close()
        return False
    except OSError:
        return True


@case("drain: 1001 to all, nobody new, exit code 0 when the last has gone")
def drain():
    with Daemon() as daemon:
        clients = [Client(daemon) for _ in range(100)]
        for client in clients:
            client.echo()
        daemon.process.send_signal(signal.SIGTERM)
        for client in clients:
            equal(client.receive_close(), 1001)
        eventually(lambda: is_refused(daemon), "new connections are refused")
        assert daemon.is_alive, "it waits for its connections"
        for client in clients:
            client.send_frame(CLOSE, close_payload(1001))
            client.ended()
        equal(daemon.process.wait(DEADLINE), 0)


@case("drain: what was sent before it is answered before 1001")
def answered_first():
    with Daemon() as daemon:
        client = Client(daemon)
        client.echo()
        for number in range(500):
            client.send_frame(TEXT, b"%d" % number)
        daemon.process.send_signal(signal.SIGTERM)
        number = 0
        while True:
            opcode, payload = client.receive()
            if opcode == CLOSE:
                equal(payload[:2], close_payload(1001))
                break
            equal(payload, b"%d" % number)
            number += 1
        client.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("drain: handshakes under way are refused with 503")
def during_handshake():
    with Daemon() as daemon:
        client = Socket(daemon)
        client.send(request()[:30])
        daemon.echoes()
        daemon.process.send_signal(signal.SIGTERM)
        equal(client.answer()[0], 503)
        client.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("drain: clients that do not answer are cut off at the deadline")
def deadline():
    with Daemon(drain_timeout="500ms", close_timeout="60s") as daemon:
        clients = [Client(daemon) for _ in range(20)]
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(DEADLINE) in (0, 1)
        for client in clients:
            equal(client.receive_close(), 1001)
            client.close()


@case("drain: spinners and sleepers too get 1001")
def spinners():
    with Daemon() as daemon:
        clients = [Client(daemon, "/demo/spin") for _ in range(10)]
        for client in clients:
            client.send_frame(TEXT, b"go")
            client.send_frame(PING)
        for client in clients:
            client.expect(PONG, b"")
        daemon.process.send_signal(signal.SIGTERM)
        for client in clients:
            equal(client.receive_close(), 1001)
            client.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("drain: handlers that crash while it begins are told as well")
def crashing():
    with Daemon(restart_intensity=1_000, drain_timeout="20s") as daemon:
        clients = [Client(daemon, "/demo/throw") for _ in range(40)]
        for client in clients:
            client.send(frame(TEXT, b"go") * 100)
        daemon.process.send_signal(signal.SIGTERM)
        for client in clients:
            code = client.receive_close()
            assert code in (1001, 1011), code
            client.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("a second signal stops at once")
def second_signal():
    with Daemon(drain_timeout="60s", close_timeout="60s") as daemon:
        client = Client(daemon)
        daemon.process.send_signal(signal.SIGTERM)
        equal(client.receive_close(), 1001)
        daemon.process.send_signal(signal.SIGTERM)
        equal(daemon.process.wait(DEADLINE), 1)
        daemon.process.returncode = 0
