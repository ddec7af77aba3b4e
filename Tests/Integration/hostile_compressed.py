"""Hostile peers: permessage-deflate (RFC 7692)."""

import struct
import zlib

import ledger
from harness import *
from hostile_frames import under_attack

LIMIT = 1 << 20  # max-message-bytes
COMPRESSED = 4  # RSV1


def deflated(payload, level=9):
    """As RFC 7692 §7.2.1 has it: without the empty block at the end."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def zeros(count):
    """`count` zero bytes, a thousand to one, without holding them here."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    parts.append(compressor.compress(bytes(count & (1 << 20) - 1)))
    return (b"".join(parts) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Compressing(Client):
    """A client that has offered permessage-deflate and got it."""

    def __init__(self, daemon, offer="permessage-deflate; client_no_context_takeover", **options):
        super().__init__(daemon, headers=[("Sec-WebSocket-Extensions", offer)], **options)
        agreed = self.fields.get("sec-websocket-extensions", "")
        assert agreed.startswith("permessage-deflate"), f"not negotiated: {agreed!r}"
        self.inflater = zlib.decompressobj(-15)
        self.keeps_context = "server_no_context_takeover" not in agreed

    def receive_message(self):
        """The next data frame, inflated where it is compressed."""
        first, second = self.take(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
        payload = self.take(size)
        if first & 0x40:
            if not self.keeps_context:
                self.inflater = zlib.decompressobj(-15)
            payload = self.inflater.decompress(payload + b"\x00\x00\xff\xff")
        return first & 0xF, payload

    def compressed(self, payload, opcode=TEXT):
        """Sends `payload` compressed; it must come back."""
        self.send_frame(opcode, deflated(payload), rsv=COMPRESSED)
        equal(self.receive_message(), (opcode, payload))


def refused(daemon, sent, code, what, cause):
    with Compressing(daemon) as client:
        client.compressed(b"before" * 100)
        with contextlib.suppress(OSError):
            client.send(sent)
        equal(client.receive_close(), code, what)
        client.ended()
        port = ledger.port_of(client)
    equal(ledger.cause_of(daemon, port), cause, what)


@case("CVE-2026-39804: what inflates past the limit is 1009, in time and memory of the limit")
def bombs():
    bomb = zeros(256 << 20)
    with under_attack() as daemon:
        with Compressing(daemon) as client:
            client.compressed(bytes(LIMIT), BINARY)
        grown, ticks = daemon.rss(), daemon.ticks()
        for _ in range(20):
            refused(daemon, frame(BINARY, bomb, rsv=COMPRESSED), 1009, "256 MiB", "message_too_big")
            refused(daemon, frame(TEXT, bomb, rsv=COMPRESSED), 1009, "256 MiB of text", "message_too_big")
        refused(daemon, frame(BINARY, zeros(LIMIT + 1), rsv=COMPRESSED), 1009, "a byte past", "message_too_big")
        assert daemon.rss() - grown < 32 << 20, f"grew by {daemon.rss() - grown}"
        assert daemon.ticks() - ticks < 200, f"{daemon.ticks() - ticks} ticks for 40 bombs"


@case("CVE-2026-39804: the same in fragments of every size, with pings between them")
def bombs_in_fragments():
    bomb = zeros(8 << 20)
    with under_attack() as daemon:
        for size in (1, 7, 100, 1_000):
            pieces = [bomb[at : at + size] for at in range(0, len(bomb), size)]
            sent = b"".join(
                frame(CONTINUATION if index else BINARY, piece, fin=False, rsv=0 if index else COMPRESSED)
                + (frame(PING) if index % 1_000 == 999 else b"")
                for index, piece in enumerate(pieces)
            ) + frame(CONTINUATION)
            with Compressing(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(sent)
                equal(client.receive_close(), 1009, size)


@case("bombs from fifty at once hold what the limit allows each, and others are served meanwhile")
def many_bombs():
    bomb = frame(BINARY, zeros(64 << 20), rsv=COMPRESSED)
    with under_attack() as daemon:
        clients = [Compressing(daemon) for _ in range(50)]
        grown = daemon.rss()
        for client in clients:
            client.send(bomb[:-1])
        daemon.echoes()
        assert daemon.rss() - grown < 50 * 2 * LIMIT + (16 << 20), f"grew by {daemon.rss() - grown}"
        for client in clients:
            client.close()


@case("CVE-2026-42786, CVE-2026-65623: compressed fragments that give nothing, without end, are bounded")
def empty_fragments():
    with under_attack() as daemon, Compressing(daemon) as client:
        client.send_frame(TEXT, b"", fin=False, rsv=COMPRESSED)
        empty = deflated(b"")
        with contextlib.suppress(OSError):
            for _ in range(20):
                client.send(frame(CONTINUATION, empty, fin=False) * 10_000)
        equal(client.receive_close(), 1009)


@case("bandit#651: compressed control frames, and RSV1 where it has no place")
def reserved_bits():
    with under_attack() as daemon:
        for opcode, payload in [(PING, deflated(b"a")), (PONG, b""), (CLOSE, close_payload(1000)), (PING, b"")]:
            refused(daemon, frame(opcode, payload, rsv=COMPRESSED), 1002, opcode, "protocol_error")
        for rsv in (1, 2, 3, 5, 6, 7):
            refused(daemon, frame(TEXT, deflated(b"a"), rsv=rsv), 1002, rsv, "protocol_error")
        begun = frame(TEXT, b"a", fin=False)
        refused(daemon, begun + frame(CONTINUATION, b"b", rsv=COMPRESSED), 1002, "in plain", "protocol_error")
        begun = frame(TEXT, deflated(b"ab")[:2], fin=False, rsv=COMPRESSED)
        refused(daemon, begun + frame(CONTINUATION, b"b", rsv=COMPRESSED), 1002, "on the second", "protocol_error")


WRONG = {
    "noise": bytes(number * 91 + 7 & 0xFF for number in range(200)),
    "a block of the reserved type": b"\x06",
    "a stored block whose length does not match": b"\x00\x05\x00\x00\x00hello",
    "a distance before the beginning": b"\x02\x02\x00",
    "codes that are oversubscribed": bytes.fromhex("0400fe"),
    "every bit set": b"\xff" * 50,
}


@case("data that cannot be inflated is refused, whole and in fragments; so is text that inflates to no UTF-8")
def wrong_data():
    with under_attack() as daemon:
        for name, wrong in WRONG.items():
            for opcode in (TEXT, BINARY):
                with Compressing(daemon) as client:
                    with contextlib.suppress(OSError):
                        client.send_frame(opcode, wrong, rsv=COMPRESSED)
                        client.send_frame(PING)
                    assert client.receive_close() in (1002, 1007), name
                    client.ended()
                for at in range(0, len(wrong), 1 + len(wrong) // 10):
                    with Compressing(daemon) as client:
                        with contextlib.suppress(OSError):
                            client.send(frame(opcode, wrong[:at], fin=False, rsv=COMPRESSED))
                            client.send(frame(CONTINUATION, wrong[at:]))
                        assert client.receive_close() in (1002, 1007), (name, at)
        for text in [b"\xc0\x80", b"a" * 1_000 + b"\xff", "ü".encode()[:1], b"\xed\xa0\x80"]:
            refused(daemon, frame(TEXT, deflated(text), rsv=COMPRESSED), 1007, text[-4:], "invalid_payload")
            both = deflated(text)
            sent = frame(TEXT, both[:1], fin=False, rsv=COMPRESSED) + frame(CONTINUATION, both[1:])
            refused(daemon, sent, 1007, text[-4:], "invalid_payload")


@case("data that is unusual and right: stored blocks, final blocks, nothing at all, a block for each byte")
def unusual_data():
    final = zlib.compressobj(9, zlib.DEFLATED, -15)
    final = final.compress(b"final block") + final.flush(zlib.Z_FINISH)
    each = zlib.compressobj(9, zlib.DEFLATED, -15)
    each = b"".join(each.compress(bytes([byte])) + each.flush(zlib.Z_SYNC_FLUSH) for byte in b"byte by byte")[:-4]
    with under_attack() as daemon, Compressing(daemon) as client:
        for sent, payload in [
            (deflated(b"stored" * 50, level=0), b"stored" * 50),
            (final + b"\x00", b"final block"),
            (each, b"byte by byte"),
            (deflated(b""), b""),
            (b"\x00", b""),
        ]:
            client.send_frame(TEXT, sent, rsv=COMPRESSED)
            equal(client.receive_message(), (TEXT, payload))
        client.send_frame(TEXT, b"and plain")
        equal(client.receive_message(), (TEXT, b"and plain"))


@case("offers that are wrong are declined or refused, never agreed to")
def wrong_offers():
    with under_attack() as daemon:
        for parameters in [
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits",
            "server_max_window_bits=",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=-1",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits=10; server_max_window_bits=11",
            "unknown",
            "unknown=5",
        ]:
            with Socket(daemon) as client:
                client.send(request(headers=[("Sec-WebSocket-Extensions", f"permessage-deflate; {parameters}")]))
                status, fields = client.head()
                assert status in (101, 400), (parameters, status)
                assert "permessage-deflate" not in fields.get("sec-websocket-extensions", ""), (parameters, fields)
        offers = ["permessage-deflate; unknown"] * 5 + ["permessage-deflate"]
        with Compressing(daemon, ", ".join(offers)) as client:
            client.compressed(b"the last offer is as good as the first")
        with Client(daemon, headers=[("Sec-WebSocket-Extensions", ", ".join(offers[:5] * 50 + offers[5:]))]) as client:
            client.send_frame(TEXT, b"so many that nobody need look at them all")
            equal(client.receive()[0], TEXT)
