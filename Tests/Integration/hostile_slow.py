"""Hostile peers: slow in every phase. A byte now and then is no sign of life that a deadline may be moved for."""

import ledger
from harness import *
from hostile_frames import under_attack

PACE = 0.02  # between two bytes: far below every timeout here, so that only a deadline that does not move ends it


def trickle(client, data, pace=PACE):
    """Sends `data` byte by byte, until all is sent, the deadline of the tests is over, or something is answered."""
    end = time.monotonic() + DEADLINE
    for byte in data:
        if time.monotonic() > end or client.has_data():
            break
        try:
            client.send(bytes([byte]))
        except OSError:
            break
        time.sleep(pace)  # a slow peer: the waiting is the test
    return time.monotonic() <= end


def all_at_once(bodies):
    together(len(bodies), lambda index: bodies[index]())


@case("slow in the head, with lines, without, with nothing at all: 408, for each the same deadline")
def heads():
    with under_attack(handshake_timeout="400ms") as daemon:

        def check(sent, paced):
            with Socket(daemon) as client:
                client.send(sent)
                assert trickle(client, paced), "it was listened to for ever"
                equal(client.head()[0], 408, sent[:40])
                equal(ledger.cause_of(daemon, ledger.port_of(client)), "handshake_timeout")

        long = b"a" * 5_000
        all_at_once(
            [
                lambda sent=sent, paced=paced: check(sent, paced)
                for sent, paced in [
                    (b"", b""),
                    (b"", long),
                    (b"GET /", long),
                    (b"GET /echo HTTP/1.1\r\n", long),
                    (b"GET /echo HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n" * 1_000),
                    (request()[:-1], b""),
                    (request()[:-2], b""),
                    (request()[:-4], b""),
                ]
                * 4
            ]
        )


@case("half-made connections hold their places until the handshake's deadline and no longer (Thousand Island)")
def places():
    with under_attack(max_connections=10, handshake_timeout="300ms") as daemon:
        stalled = [Socket(daemon) for _ in range(10)]
        for client in stalled[5:]:
            client.send(request()[:-2])

        def has_room():
            with Socket(daemon) as client:
                client.send(request())
                return client.head()[0] == 101

        with Socket(daemon) as late:
            late.send(request())
            equal(late.head()[0], 503)
        for client in stalled:
            equal(client.head()[0], 408)
            client.close()
        eventually(has_room, "the places are free again")


def never_ends():
    """Frames whose bytes trickle in and that never end, as what is sent at once and what follows byte by byte."""
    yield frame(TEXT, b"a" * 100)[:1], b""
    yield b"", frame(BINARY, bytes(100_000))
    yield frame(BINARY, bytes(100_000))[:3], frame(BINARY, bytes(100_000))[3:]
    yield frame(BINARY, bytes(100_000))[:5_000], bytes(100_000)
    yield frame(TEXT, b"begun", fin=False), frame(CONTINUATION, b"a", fin=False) * 3_000
    yield frame(TEXT, b"begun", fin=False), frame(CONTINUATION, b"", fin=False) * 3_000


@case("a message that never ends is no message: the idle timeout counts whole ones")
def idle():
    with under_attack(idle_timeout="600ms", ping_interval="0") as daemon:

        def check(sent, paced):
            with Client(daemon) as client:
                client.echo()
                client.send(sent)
                assert trickle(client, paced), "it was listened to for ever"
                equal(client.receive_close(), 1001)
                equal(cause_when_gone(daemon, client), "idle_timeout")

        all_at_once([lambda sent=sent, paced=paced: check(sent, paced) for sent, paced in never_ends()])


def cause_when_gone(daemon, client):
    """Closes the socket; why the connection ended."""
    port = ledger.port_of(client)
    client.close()
    return ledger.cause_of(daemon, port)


@case("frames that come byte by byte, each within the deadlines, are read as whole ones")
def patient():
    with under_attack(ping_interval="200ms", pong_timeout="2s") as daemon:
        sent = frame(TEXT, b"Gr\xc3\xbc\xc3\x9fe") + frame(PING, b"?") + frame(BINARY, b"12")

        def check(_):
            with Client(daemon) as client:
                for byte in sent:
                    client.send(bytes([byte]))
                    time.sleep(PACE)  # a slow peer: the waiting is the test
                got = []
                while len(got) < 3:
                    opcode, payload = client.receive()
                    if opcode == PING:
                        client.send_frame(PONG, payload)
                    else:
                        got.append((opcode, payload))
                equal(got, [(TEXT, b"Gr\xc3\xbc\xc3\x9fe"), (PONG, b"?"), (BINARY, b"12")])
                client.send_frame(CLOSE)
                client.receive_close()

        together(20, check)


@case("a close frame of ours that is never answered, or by bytes only: the connection is cut at the deadline")
def unanswered_closes():
    with under_attack(close_timeout="300ms", idle_timeout="300ms", ping_interval="0") as daemon:

        def check(provoke, code, cause, paced):
            with Client(daemon) as client:
                client.send(provoke)
                equal(client.receive_close(), code)
                end = time.monotonic() + DEADLINE
                with contextlib.suppress(OSError):
                    for byte in paced:
                        client.send(bytes([byte]))
                        time.sleep(PACE)  # a slow peer: the waiting is the test
                        assert time.monotonic() < end, "it was listened to for ever"
                client.ended()
                equal(cause_when_gone(daemon, client), cause)

        slow_answer = frame(CLOSE, close_payload(1000, b"a" * 100))[:-1]
        all_at_once(
            [
                lambda values=(*provoked, paced): check(*values)
                for provoked in [(frame(3), 1002, "protocol_error"), (b"", 1001, "idle_timeout")]
                for paced in [b"", slow_answer, frame(BINARY, bytes(2_000)), frame(PING) * 1_000]
            ]
        )


@case("a client that reads a byte now and then of a megabyte is cut off when it has begun to close")
def slow_reader_that_closes():
    with under_attack(close_timeout="400ms", max_outbound_bytes="16MiB") as daemon:

        def check(index):
            client = Client(daemon, receive_buffer=4_096)
            for _ in range(4):
                client.send_frame(BINARY, bytes(1 << 20))
            client.send_frame(CLOSE, close_payload(1000))
            end = time.monotonic() + DEADLINE
            try:
                while client.socket.recv(64):
                    time.sleep(PACE)  # a slow peer: the waiting is the test
                    assert time.monotonic() < end, "it was waited for for ever"
            except ConnectionResetError:
                pass
            port = ledger.port_of(client)
            client.close()
            equal(ledger.cause_of(daemon, port), "client_closed")

        together(6, check)
