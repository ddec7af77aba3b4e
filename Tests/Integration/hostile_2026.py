"""What servers like this one were found to do in 2025 and 2026: one case each, by the name it was published under.

Those that need what is not there yet are in `hostile_later.py`.
"""

import struct

import ledger
from harness import *
from hostile_frames import refused, under_attack
from hostile_sizes import answered

MESSAGE = 1 << 20  # max-message-bytes


def rest(client):
    """All that still comes."""
    with contextlib.suppress(Ended, ConnectionResetError):
        while True:
            client.more()
    return client.buffer


@case("GHSA-rhh8-5xw9-c3gm: frames of a client that are not masked are refused, whatever they are and hold")
def unmasked():
    with under_attack() as daemon:
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            for payload in (b"", b"\x03\xe8", b"a" * 125):
                refused(daemon, frame(opcode, payload, key=None), 1002, (opcode, payload))
        refused(daemon, frame(BINARY, bytes(70_000), key=None), 1002, "a long one")
        refused(daemon, frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", key=None), 1002, "the second fragment")


@case("CVE-2026-42786: continuation frames without end are bounded as one message")
def continuations():
    with under_attack() as daemon:
        grown = daemon.rss()

        def check(_):
            with Client(daemon) as client:
                client.send(frame(BINARY, bytes(65_000), fin=False))
                with contextlib.suppress(OSError):
                    for _ in range(64):
                        client.send(frame(CONTINUATION, bytes(65_000), fin=False))
                equal(client.receive_close(), 1009)

        together(8, check)
        assert daemon.rss() - grown < 8 * MESSAGE + (16 << 20), f"grew by {daemon.rss() - grown}"


@case("CVE-2026-65623: a message in tiny fragments costs as much as its bytes, and others are served meanwhile")
def tiny_fragments():
    with under_attack("--schedulers", "1") as daemon:
        half = 500 * frame(CONTINUATION, b"a", fin=False)

        def used(halves):
            """Ticks for so many halves, each a message of 501 fragments."""
            before = daemon.ticks()
            with Client(daemon) as client:
                for _ in range(halves):
                    client.send(frame(TEXT, b"", fin=False) + half + frame(CONTINUATION))
                    client.expect(TEXT, b"a" * 500)
            return daemon.ticks() - before

        assert used(200) < 100, "100,000 fragments took a second"
        with Client(daemon) as client, Client(daemon) as other:
            client.send(frame(TEXT, b"", fin=False))
            with contextlib.suppress(OSError):
                for _ in range(400):
                    client.send(half)
                    other.echo(b"meanwhile")
            equal(client.receive_close(), 1009)


@case("bandit#651: control frames that say they are compressed are refused")
def compressed_controls():
    extensions = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    with under_attack() as daemon:
        for opcode, payload in [(PING, b"a"), (PONG, b"a"), (CLOSE, close_payload(1000))]:
            with Client(daemon, headers=extensions) as client:
                client.send_frame(opcode, payload, rsv=4)
                equal(client.receive_close(), 1002, opcode)


@case("CVE-2026-39805: two Content-Length headers, alike or not, are refused")
def content_lengths():
    with under_attack() as daemon:
        twice = [("0", "0"), ("5", "5"), ("0", "5"), ("5", "0")]
        for values in [*twice, ("0, 0",), ("5, 6",), ("+5",), ("-1",), ("0x5",)]:
            headers = [("Content-Length", value) for value in values]
            answered(daemon, request(headers=headers), 400, values)
            answered(daemon, request(headers=headers) + b"12345" + request(), 400, values)
        for value in ["18446744073709551616", "9" * 400, "5 ", "", "five"]:
            with Socket(daemon) as client:
                client.send(request(headers=[("Content-Length", value)]) + frame(TEXT, b"smuggled"))
                assert client.head()[0] in (400, 413), value
                assert b"smuggled" not in rest(client), value


@case("CVE-2026-39803, CVE-2026-39806: chunks and trailers of an upgrade are no frames and no second request")
def chunks():
    chunked = [("Transfer-Encoding", "chunked")]
    second = request().replace(b"/echo", b"/demo/throw")
    with under_attack() as daemon:
        for headers in [
            chunked,
            [("Transfer-Encoding", "Chunked")],
            [("Transfer-Encoding", "identity, chunked")],
            [("Transfer-Encoding", "chunked, chunked")],
            [("Transfer-Encoding", "\x0bchunked")],
            [("Transfer-Encoding", "chunked"), ("Content-Length", "0")],
            [("Content-Length", "0"), ("Transfer-Encoding", "chunked")],
            [("Transfer-Encoding", "gzip")],
        ]:
            for body in [
                b"5\r\nhello\r\n0\r\n\r\n",
                b"0\r\nTrailer: a\r\n\r\n",
                b"0\r\n" + b"A: b\r\n" * 20_000,
                b"FFFFFFFFFFFFFFFF\r\n",
                b"5;" + b"a" * 100_000,
                frame(TEXT, b"smuggled"),
                second,
            ]:
                with Socket(daemon) as client:
                    with contextlib.suppress(OSError):
                        client.send(request(headers=headers) + body)
                    status = client.head()[0]
                    assert status in (400, 501), (headers, body[:20], status)
                    got = rest(client)
                    assert b"smuggled" not in got and b"HTTP/1.1" not in got, (headers, got)


@case("CVE-2026-39807: what a client says of its own scheme, host and address opens no door")
def forwarded():
    with under_attack(allowed_origins="https://example.com") as daemon:
        for headers in [
            [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")],
            [("Forwarded", "proto=https;host=evil.example")],
            [("X-Forwarded-Scheme", "https"), ("X-Forwarded-Ssl", "on"), ("Front-End-Https", "on")],
            [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")],
            [("X-Original-Host", "example.com"), ("X-Host", "example.com")],
            [("Origin", "https://example.com")],
        ]:
            for origin in ["http://example.com", "https://evil.example", "https://example.com.evil.example", "null"]:
                with Socket(daemon) as client:
                    client.send(request(headers=[("Origin", origin), *headers]))
                    assert client.head()[0] in (400, 403), (origin, headers)


@case("GHSA-x3gh, cowboy 2.17: CR, LF and NUL in targets, names and values are refused, and never come back")
def control_characters():
    with under_attack() as daemon:
        line = b"Injected: yes"
        for wrong in [b"\r", b"\n", b"\0", b"\x7f", b"\x0b", b"\r\n" + line, b"\n" + line, b"\r" + line]:
            for head in [
                request(headers=[("A", "b%c")]),
                request(headers=[("A%c", "b")]),
                request("/echo%c"),
                request("/nowhere%c"),
                request(host="a%c"),
                request(headers=[("Sec-WebSocket-Protocol", "a%c")]),
                request(headers=[("Origin", "http://a%c")]),
                request(method="GET%c"),
                request(version="HTTP/1.1%c"),
            ]:
                with Socket(daemon) as client:
                    client.send(head.replace(b"%c", wrong))
                    # A line of its own is a header like any other, where lines may be.
                    is_header = wrong == b"\r\n" + line and b"%c\r\n" in head
                    status, fields = client.head()
                    assert is_header or status >= 400, (head, wrong, status)
                    assert "injected" not in fields, (head, wrong, fields)
        for encoded in ["%0d%0aInjected:%20yes", "%00", "%0a", "%0d", "%7f", "%", "%zz", "%ff", "%c0%af"]:
            with Socket(daemon) as client:
                client.send(request("/nowhere" + encoded))
                status, fields = client.head()
                assert status in (400, 404), encoded
                assert "injected" not in fields, fields


@case("GHSA-xj8g: sending to a peer that takes nothing does not wait for ever")
def blocked_sends():
    with under_attack(close_timeout="200ms", ping_interval="100ms", pong_timeout="100ms") as daemon:
        clients = [Client(daemon, receive_buffer=4_096) for _ in range(10)]
        for index, client in enumerate(clients):
            with contextlib.suppress(OSError):
                client.send_frame(BINARY, bytes(1 << 20))
                if index % 2:
                    client.send_frame(CLOSE, close_payload(1000))
        for client in clients:
            cause = ledger.cause_of(daemon, ledger.port_of(client))
            assert cause in {"pong_timeout", "slow_consumer", "client_closed"}, cause
            client.close()


@case("cowboy 2.17, websock_adapter 0.6: frames have a limit without anybody having set one")
def default_limit():
    with under_attack() as daemon:
        with Client(daemon) as client:
            client.echo(bytes(MESSAGE), BINARY)
        for size in [MESSAGE + 1, 8_000_000, 10_000_000, 1 << 40]:
            with Client(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(bytes([0x82, 0xFF]) + struct.pack(">Q", size) + b"key!" + bytes(100))
                equal(client.receive_close(), 1009, size)


@case("cowboy 2.17: thousands of keys in a query, of cookies, of header names that collide cost what their bytes cost")
def many_keys():
    with under_attack("--schedulers", "1") as daemon:
        before = daemon.ticks()
        for _ in range(200):
            for head in [
                request("/echo?" + "&".join(f"k{number}=" for number in range(600))),
                request("/echo?" + "&" * 4_000),
                request(headers=[("Cookie", "; ".join(f"k{number}=v" for number in range(800)))]),
                request(headers=[("A", str(number)) for number in range(90)]),
            ]:
                with Socket(daemon) as client:
                    client.send(head)
                    equal(client.head()[0], 101)
        assert daemon.ticks() - before < 200, f"{daemon.ticks() - before} ticks for 800 requests"
