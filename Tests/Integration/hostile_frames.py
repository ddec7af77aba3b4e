"""Hostile peers: frames that are wrong in every way there is, and what is almost wrong."""

import struct

import ledger
from harness import *

DATA = {TEXT, BINARY}
CONTROLS = {CLOSE, PING, PONG}
KEY = b"\x12\x34\x56\x78"


@contextlib.contextmanager
def under_attack(*arguments, **settings):
    """A daemon that must come out of it: each connection ended once, descriptors and memory given back."""
    with Daemon(*arguments, log_level="debug", **settings) as daemon:
        # What it opens after it has begun to listen, it has opened when a connection has come and gone.
        daemon.echoes()
        ledger.each_ended_once(daemon)
        before = daemon.descriptors()
        yield daemon
        try:
            eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        except AssertionError as error:
            held = {name: os.readlink(f"/proc/{daemon.pid}/fd/{name}") for name in os.listdir(f"/proc/{daemon.pid}/fd")}
            error.add_note(f"{before} before; now {held}; it said: {daemon.said()}")
            raise
        still_well(daemon)
        ledger.each_ended_once(daemon)


def refused(daemon, sent, code, what, path="/echo"):
    """What is sent gets this close code and the end, and the connection is booked as the peer's fault."""
    with Client(daemon, path) as client:
        client.send(frame(TEXT, b"before"))
        client.expect(TEXT, b"before")
        with contextlib.suppress(OSError):
            client.send(sent)
        equal(client.receive_close(), code, what)
        client.ended()
        port = ledger.port_of(client)
    cause = {1007: "invalid_payload", 1009: "message_too_big"}.get(code, "protocol_error")
    equal(ledger.cause_of(daemon, port), cause, what)


def first_byte(daemon, byte):
    """What RFC 6455 §5.2 says of a frame that begins with `byte`, after nothing."""
    opcode, is_final, reserved = byte & 0xF, byte >= 0x80, byte >> 4 & 7
    wrong = reserved or opcode not in DATA | CONTROLS or opcode in CONTROLS and not is_final
    payload = struct.pack(">H", 1000) if opcode == CLOSE else b"hi"
    sent = bytes([byte, 0x80 | len(payload)]) + KEY + mask(payload, KEY)
    refused(daemon, bytes([byte, len(payload)]) + payload, 1002, f"{byte:#04x}, not masked")
    if wrong:
        return refused(daemon, sent + frame(TEXT, b"after"), 1002, f"{byte:#04x}")
    with Client(daemon) as client:
        client.send(sent)
        if not is_final:
            client.send(frame(CONTINUATION, b" there"))
            return client.expect(opcode, b"hi there")
        if opcode == CLOSE:
            equal(client.receive_close(), 1000)
            return client.ended()
        if opcode != PONG:
            client.expect(PONG if opcode == PING else opcode, b"hi")
        client.echo(b"and on")


@case("every first byte that a frame can have, masked and not (GHSA-rhh8-5xw9-c3gm)")
def first_bytes():
    with under_attack() as daemon:
        together(4, lambda part: [first_byte(daemon, byte) for byte in range(part, 256, 4)])


@case("every first byte inside a fragmented message")
def first_bytes_inside():
    with under_attack() as daemon:

        def check(byte):
            opcode, is_final, reserved = byte & 0xF, byte >= 0x80, byte >> 4 & 7
            begun = frame(TEXT, b"begun ", fin=False)
            payload = struct.pack(">H", 1000) if opcode == CLOSE else b"hi"
            sent = bytes([byte, 0x80 | len(payload)]) + KEY + mask(payload, KEY)
            is_right = opcode == CONTINUATION or opcode in CONTROLS and is_final
            if reserved or not is_right:
                return refused(daemon, begun + sent, 1002, f"{byte:#04x} inside a message")
            with Client(daemon) as client:
                client.send(begun + sent)
                if opcode == CLOSE:
                    return equal(client.receive_close(), 1000)
                if opcode == PING:
                    client.expect(PONG, b"hi")
                if opcode == CONTINUATION and is_final:
                    return client.expect(TEXT, b"begun hi")
                client.send(frame(CONTINUATION, b"!"))
                client.expect(TEXT, b"begun hi!" if opcode == CONTINUATION else b"begun !")

        together(4, lambda part: [check(byte) for byte in range(part, 256, 4)])


def header(second, extended=b"", opcode=BINARY):
    return bytes([0x80 | opcode, 0x80 | second]) + extended + KEY


LENGTHS = {
    "0 in 16 bits": (header(126, struct.pack(">H", 0)), 1002),
    "125 in 16 bits": (header(126, struct.pack(">H", 125)), 1002),
    "0 in 64 bits": (header(127, struct.pack(">Q", 0)), 1002),
    "126 in 64 bits": (header(127, struct.pack(">Q", 126)), 1002),
    "65535 in 64 bits": (header(127, struct.pack(">Q", 65_535)), 1002),
    "2^63": (header(127, struct.pack(">Q", 1 << 63)), 1002),
    "2^63 + 1": (header(127, struct.pack(">Q", (1 << 63) + 1)), 1002),
    "2^64 - 1": (header(127, struct.pack(">Q", (1 << 64) - 1)), 1002),
    "2^63 - 1": (header(127, struct.pack(">Q", (1 << 63) - 1)), 1009),
    "2^32": (header(127, struct.pack(">Q", 1 << 32)), 1009),
    "2^31": (header(127, struct.pack(">Q", 1 << 31)), 1009),
    "a byte past the limit": (header(127, struct.pack(">Q", (1 << 20) + 1)), 1009),
    "a ping of 126": (header(126, struct.pack(">H", 126), PING), 1002),
    "a ping of 65536": (header(127, struct.pack(">Q", 65_536), PING), 1002),
    "a pong of 2^63": (header(127, struct.pack(">Q", 1 << 63), PONG), 1002),
    "a pong of 126": (header(126, struct.pack(">H", 126), PONG), 1002),
    "a close of 126": (header(126, struct.pack(">H", 126), CLOSE), 1002),
    "a ping of 5, in 16 bits": (header(126, struct.pack(">H", 5), PING), 1002),
    "a close of 2, in 64 bits": (header(127, struct.pack(">Q", 2), CLOSE), 1002),
}


@case("every length that is not one, with and without bytes behind it, in one piece and byte by byte")
def lengths():
    with under_attack("--schedulers", "1") as daemon, Client(daemon) as other:
        for name, (wrong, code) in LENGTHS.items():
            refused(daemon, wrong, code, name)
            refused(daemon, wrong + bytes(1_000), code, f"{name}, with bytes behind")
            with Client(daemon) as client:
                with contextlib.suppress(OSError):
                    for byte in wrong:
                        client.send(bytes([byte]))
                        other.echo(b"")
                equal(client.receive_close(), code, f"{name}, byte by byte")
                client.ended()


@case("a close frame of one byte, whichever it is, and the longest that is right")
def close_payloads():
    with under_attack() as daemon:

        def check(part):
            for byte in range(part, 256, 4):
                refused(daemon, frame(CLOSE, bytes([byte])), 1002, f"close of {byte:#04x}")

        together(4, check)
        for reason in [b"", b"x", b"x" * 123, "ü".encode() * 61]:
            with Client(daemon) as client:
                client.send(frame(CLOSE, close_payload(4_000, reason)))
                equal(client.receive_close(), 4_000, len(reason))
                client.ended()
        refused(daemon, frame(CLOSE, close_payload(1000, b"x" * 124)), 1002, "a close of 126 bytes")


# Codes at every boundary (RFC 6455 §7.4): `closing.py` has all of them; here with reasons, and inside a message.
CODES_WRONG = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, 65_535]
CODES_RIGHT = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]


@case("close codes at every boundary, with the longest reason, inside a fragmented message")
def close_codes():
    begun = frame(TEXT, b"begun", fin=False)
    with under_attack() as daemon:
        for code in CODES_WRONG:
            refused(daemon, begun + frame(CLOSE, close_payload(code, b"r" * 123)), 1002, code)
        for code in CODES_RIGHT:
            with Client(daemon) as client:
                client.send(begun + frame(CLOSE, close_payload(code, b"r" * 123)) + frame(CONTINUATION, b"late"))
                equal(client.receive_close(), code)
                client.ended()
                port = ledger.port_of(client)
            equal(ledger.cause_of(daemon, port), "client_closed", code)


@case("bytes that are no frames at all: HTTP, TLS, noise")
def no_frames():
    noise = bytes(number * 167 + 13 & 0xFF for number in range(4_096))
    with under_attack() as daemon:
        for name, sent in {
            "a second request": request(),
            "a TLS hello": bytes.fromhex("1603010200010001fc0303") + bytes(512),
            "an answer of HTTP": b"HTTP/1.1 200 OK\r\n\r\n",
            "text": b"hello there, this is no frame at all\n" * 10,
        }.items():
            refused(daemon, sent, 1002, name)
        for start in range(64):
            with Client(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(noise[start:])
                client.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(Ended, ConnectionResetError):
                    while True:
                        client.more()
