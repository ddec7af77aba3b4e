"""RFC 6455 §5 over real sockets."""

import struct

from harness import *


@case("fragments with control frames between them, split at every byte")
def every_split():
    stream = (
        frame(TEXT, "Grüß".encode()[:3], fin=False)
        + frame(PING, b"one")
        + frame(CONTINUATION, "Grüß".encode()[3:], fin=False)
        + frame(PONG, b"unasked")
        + frame(CONTINUATION, b"", fin=False)
        + frame(PING)
        + frame(CONTINUATION, b"!" * 130)
        + frame(BINARY, b"\x00\xff")
    )
    with Daemon("--schedulers", "1") as daemon, Client(daemon) as other:
        for split in range(1, len(stream)):
            with Client(daemon) as client:
                client.send(stream[:split])
                other.echo()  # one scheduler: it has looked at the first part by now
                client.send(stream[split:])
                client.expect(PONG, b"one")
                client.expect(PONG, b"")
                client.expect(TEXT, "Grüß".encode() + b"!" * 130)
                client.expect(BINARY, b"\x00\xff")
                client.close_properly()
        still_well(daemon)


@case("the same, byte by byte")
def byte_by_byte():
    stream = frame(TEXT, b"a" * 200, fin=False) + frame(PING, b"x" * 125) + frame(CONTINUATION, b"b" * 70_000)
    with Daemon("--schedulers", "1") as daemon, Client(daemon) as client, Client(daemon) as other:
        for byte in stream[:600]:
            client.send(bytes([byte]))
            other.echo(b"")
        client.send(stream[600:])
        client.expect(PONG, b"x" * 125)
        client.expect(TEXT, b"a" * 200 + b"b" * 70_000)


VIOLATIONS = {
    "not masked": (frame(TEXT, b"a", key=None), 1002),
    "reserved bits": (frame(TEXT, b"a", rsv=4), 1002),
    "reserved opcode": (frame(3, b"a"), 1002),
    "reserved control opcode": (frame(11, b"a"), 1002),
    "fragmented ping": (frame(PING, b"a", fin=False), 1002),
    "long ping": (frame(PING, b"a" * 126), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "text inside text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "length not minimal": (bytes([0x82, 0xFE, 0, 5]) + b"key!" + b"12345", 1002),
    "length beyond 63 bits": (bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 63) + b"key!", 1002),
    "not UTF-8": (frame(TEXT, b"\xc0\x80"), 1007),
    "cut short inside a character": (frame(TEXT, "ü".encode()[:1]), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "one byte of close": (frame(CLOSE, b"\x03"), 1002),
    "close reason not UTF-8": (frame(CLOSE, close_payload(1000, b"\xff")), 1007),
}


@case("every violation gets its close code, after what came before it was answered")
def violations():
    with Daemon() as daemon:
        for name, (wrong, code) in VIOLATIONS.items():
            with Client(daemon) as client:
                client.send(frame(TEXT, b"before") + wrong + frame(TEXT, b"after"))
                client.expect(TEXT, b"before")
                equal(client.receive_close(), code, name)
                client.ended()
        still_well(daemon)


@case("a message of exactly the limit passes; a byte more, in one frame or many, is 1009")
def limit():
    with Daemon("--max-message", "65536") as daemon:
        with Client(daemon) as client:
            client.echo(b"x" * 65_536)
            client.echo(b"\x00" * 65_536, BINARY)
            client.send(frame(TEXT, b"a" * 32_768, fin=False) + frame(CONTINUATION, b"a" * 32_768))
            client.expect(TEXT, b"a" * 65_536)
        for wrong in [
            frame(BINARY, bytes(65_537)),
            frame(BINARY, bytes(65_536), fin=False) + frame(CONTINUATION, b"1"),
            frame(BINARY, bytes(65_536), fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"1"),
        ]:
            with Client(daemon) as client:
                client.send(wrong)
                equal(client.receive_close(), 1009)
                client.ended()
        still_well(daemon)


@case("a length of 2^62 is 1009 before anything is allocated")
def huge_length():
    with Daemon(descriptors=4_096) as daemon:
        with Client(daemon) as probe:
            probe.echo()
        before = daemon.rss()
        for size in [1 << 62, (1 << 63) - 1, 1 << 32, (1 << 20) + 1]:
            clients = [Client(daemon) for _ in range(20)]
            for client in clients:
                client.send(bytes([0x82, 0xFF]) + struct.pack(">Q", size) + b"key!" + bytes(100))
            for client in clients:
                equal(client.receive_close(), 1009, size)
                client.close()
        assert daemon.rss() - before < 24 << 20, f"grew by {daemon.rss() - before}"
        still_well(daemon)


@case("frames announced and never sent hold what was sent, not what was announced")
def announced():
    with Daemon() as daemon:
        clients = [Client(daemon) for _ in range(200)]
        before = daemon.rss()
        for client in clients:
            client.send(bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 20) + b"key!" + b"x" * 10)
        daemon.echoes()
        assert daemon.rss() - before < 64 << 20, f"grew by {daemon.rss() - before}"
        for client in clients:
            client.close()
        still_well(daemon)


@case("empty fragments without end are 1009")
def empty_fragments():
    with Daemon() as daemon, Client(daemon) as client:
        client.send(frame(TEXT, b"", fin=False))
        many = frame(CONTINUATION, b"", fin=False) * 10_000
        with contextlib.suppress(OSError):
            for _ in range(20):
                client.send(many)
        equal(client.receive_close(), 1009)
        still_well(daemon)


@case("messages of every size around the boundaries come back as they went")
def sizes():
    sizes = [
        0,
        1,
        125,
        126,
        127,
        65_535,
        65_536,
        65_537,
        32_767,
        32_768,
        200_000,
        262_143,
        262_144,
        262_145,
        1_048_575,
        1_048_576,
    ]
    with Daemon() as daemon, Client(daemon) as client:
        for size in sizes:
            client.echo(
                (
                    bytes(number * 31 & 0xFF for number in range(256)) * (size // 256 + 1)
                    if not size
                    else (bytes(number * 31 & 0xFF for number in range(256)) * (size // 256 + 1))[:size]
                ),
                BINARY,
            )
        still_well(daemon)


@case("16 messages of 1 MiB sent at once come back to a client that reads")
def pipelined():
    # At the default bound such a client may be taken for a slow one: what waits for it is more than 1 MiB for a moment.
    with Daemon(max_outbound_bytes="32MiB") as daemon, Client(daemon) as client:
        payloads = [bytes([number]) * (1 << 20) for number in range(16)]
        sender = threading.Thread(
            target=lambda: [client.send_frame(BINARY, payload) for payload in payloads], daemon=True
        )
        sender.start()
        for payload in payloads:
            client.expect(BINARY, payload)
        sender.join(DEADLINE)
