"""Hostile peers: too much of everything, and exactly as much as is allowed."""

import struct

import ledger
from harness import *
from hostile_frames import refused, under_attack

HEAD = 8_192  # max-head-bytes
TARGET = 4_096
HEADERS = 100
MESSAGE = 65_536
ENDLESS = 2_000_000  # more than the kernel's buffers and the daemon's together would have to take


def answered(daemon, head, status, what):
    """A request that is refused with `status` and the end of the stream."""
    with Socket(daemon) as client:
        with contextlib.suppress(OSError):
            client.send(head)
        equal(client.head()[0], status, what)
        with contextlib.suppress(Ended, ConnectionResetError):
            while True:
                client.more()
        port = ledger.port_of(client)
    equal(ledger.cause_of(daemon, port), "handshake_refused" if status in (404, 405) else "request_invalid", what)


def accepted(daemon, head, what):
    with Socket(daemon) as client:
        client.send(head)
        equal(client.head()[0], 101, what)
        client.__class__ = Client
        client.echo()


def padded(size, name="A"):
    """A request of exactly `size` bytes."""
    rest = size - len(request(headers=[(name, "")]))
    return request(headers=[(name, "b" * rest)])


@case("heads, targets and header counts: the most that is allowed, and one more")
def heads():
    with under_attack() as daemon:
        accepted(daemon, padded(HEAD), "a head of the limit")
        answered(daemon, padded(HEAD + 1), 431, "a byte more")
        answered(daemon, padded(HEAD * 2), 431, "twice as much")
        # The request asks for its headers beside these: Host, Upgrade, Connection, version, key.
        accepted(daemon, request(headers=[(f"A{number}", "b") for number in range(HEADERS - 5)]), "100 headers")
        answered(daemon, request(headers=[(f"A{number}", "b") for number in range(HEADERS - 4)]), 431, "101 headers")
        answered(daemon, request("/" + "a" * (TARGET - 1)), 404, "a target of the limit")
        answered(daemon, request("/" + "a" * TARGET), 414, "a byte more")
        accepted(daemon, request("/echo?" + "a=b&" * 1_000), "a thousand items in the query")


@case("heads without end are refused while they come, in one line or many, however they are named")
def endless_heads():
    begin = b"GET /echo HTTP/1.1\r\nHost: a\r\n"
    with under_attack() as daemon:
        grown = daemon.rss()
        for name, head, status in [
            ("one line", begin + b"A: " + b"b" * ENDLESS, 431),
            ("a name without end", begin + b"a" * ENDLESS, 431),
            ("many lines", begin + b"A: b\r\n" * (ENDLESS // 6), 431),
            ("many empty headers", begin + b"A:\r\n" * (ENDLESS // 4), 431),
            ("a target without end", b"GET /" + b"a" * ENDLESS, 414),
            ("a method without end", b"G" * ENDLESS, 414),
            ("spaces without end", begin + b"A:" + b" " * ENDLESS, 431),
        ]:
            with Socket(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(head)
                found = client.head()[0]
                assert found in (status, 431), f"{name}: {found}"
        assert daemon.rss() - grown < 8 << 20, f"grew by {daemon.rss() - grown}"


@case("lists of subprotocols and extensions as long as a head may be cost nothing and change nothing")
def long_lists():
    with under_attack() as daemon:
        for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection", "Upgrade"]:
            for item in ["a{0}", "x"]:
                size = HEAD - len(request(headers=[(name, "")]))
                values = [item.format(number) for number in range(size)]
                while len(", ".join(values)) > size:
                    values = values[: len(values) * 3 // 4]
                with Socket(daemon) as client:
                    client.send(request(headers=[(name, ", ".join(values))]))
                    status, fields = client.head()
                    # RFC 6455 §4.1: the same subprotocol twice is wrong.
                    assert status in (101, 400), f"{name} {item}: {status}"
                    assert "sec-websocket-protocol" not in fields, fields
        for name, value in [
            ("Sec-WebSocket-Extensions", "x; " + "; ".join(f"p{number}=1" for number in range(900))),
            ("Sec-WebSocket-Extensions", 'x; p="' + "a" * 6_000),
            ("Sec-WebSocket-Protocol", "," * 7_000),
            ("Sec-WebSocket-Key", "A" * 7_000),
            ("Sec-WebSocket-Version", "13" * 3_000),
            ("Origin", "http://" + "a" * 7_000),
        ]:
            with Socket(daemon) as client:
                is_one = name.endswith(("-Key", "-Version"))
                client.send(request(leave_out=[name] if is_one else [], headers=[(name, value)]))
                assert client.head()[0] in (101, 400, 426), name


def message(pieces, opcode=BINARY):
    """A message of fragments, as bytes."""
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if index else opcode, piece, fin=index == last) for index, piece in enumerate(pieces)
    )


@case("messages of exactly the limit pass in any fragments; a byte more anywhere is 1009")
def messages():
    with under_attack("--max-message", str(MESSAGE)) as daemon:
        for pieces in [[MESSAGE], [MESSAGE - 1, 1], [1, MESSAGE - 1], [0, MESSAGE, 0], [MESSAGE // 64] * 64]:
            with Client(daemon) as client:
                client.send(message([bytes(size) for size in pieces]))
                client.expect(BINARY, bytes(MESSAGE))
            for place in range(len(pieces)):
                more = [size + (index == place) for index, size in enumerate(pieces)]
                if len(pieces) < 10 or place in (0, 31, 63):
                    refused(daemon, message([bytes(size) for size in more]), 1009, more)
        # The length alone tells that it will be too much: before the payload comes, and where sums would wrap.
        for begun, announced in [(1, MESSAGE), (MESSAGE, 1), (1, (1 << 63) - 1), (MESSAGE, (1 << 63) - 1)]:
            head = bytes([0x80, 0xFF]) + struct.pack(">Q", announced) if announced > 65_535 else bytes([0x80, 0x81])
            sent = frame(BINARY, bytes(begun), fin=False) + head + b"key!"
            refused(daemon, sent, 1009, f"{announced} after {begun}")


@case("fragments of one byte and of none: bounded in number, memory and time")
def fragment_bombs():
    with under_attack() as daemon:
        with Client(daemon) as client:
            client.send(message([b"a"] * 1_000, TEXT))
            client.expect(TEXT, b"a" * 1_000)
        grown = daemon.rss()
        for name, piece in [("1-byte", b"a"), ("empty", b""), ("1-byte and empty", None)]:
            pair = frame(CONTINUATION, b"a", fin=False) + frame(CONTINUATION, b"", fin=False)
            many = (frame(CONTINUATION, piece, fin=False) * 2 if piece is not None else pair) * 20_000
            with Client(daemon) as client:
                client.send(frame(TEXT, b"", fin=False))
                with contextlib.suppress(OSError):
                    for _ in range(10):
                        client.send(many)
                equal(client.receive_close(), 1009, name)
        assert daemon.rss() - grown < 16 << 20, f"grew by {daemon.rss() - grown}"


@case("control frames between the fragments count for nothing, and make no room for more")
def controls_between():
    with under_attack("--max-message", "1000") as daemon:
        pieces = [frame(CONTINUATION if number else TEXT, b"a", fin=number == 999) for number in range(1_000)]
        with Client(daemon) as client:
            receiver = threading.Thread(target=lambda: client.send(frame(PING, b"p" * 125).join(pieces)), daemon=True)
            receiver.start()
            while True:
                opcode, payload = client.receive()
                if opcode != PONG:
                    break
            equal((opcode, payload), (TEXT, b"a" * 1_000))
            receiver.join(DEADLINE)
        pieces[-1] = frame(CONTINUATION, b"a", fin=False)
        refused_late = frame(PING, b"p").join([*pieces, frame(CONTINUATION, b"a")])
        with Client(daemon) as client:
            with contextlib.suppress(OSError):
                client.send(refused_late)
            equal(client.receive_close(), 1009)


@case("what many send at once and never finish is held as it came, and given back")
def unfinished():
    with under_attack("--max-message", "1MiB", close_timeout="300ms") as daemon:
        grown = daemon.rss()
        clients = [Client(daemon) for _ in range(40)]
        part = frame(BINARY, bytes(1 << 20))[: 256 << 10]
        for client in clients:
            client.send(part)
        daemon.echoes()
        held = daemon.rss() - grown
        assert held < 40 * (1 << 20) + (24 << 20), f"{held} bytes for 40 times 256 KiB"
        for client in clients:
            client.close()
