"""RFC 6455 §4: what is refused, and how."""

import base64
import struct

from harness import *

# Head, status, headers that the answer must have.
REFUSALS = {
    "LF alone": (b"GET /echo HTTP/1.1\nHost: a\n\n", 400, {}),
    "no host": (request(leave_out=["Host"]), 400, {}),
    "two hosts": (request(headers=[("Host", "b")]), 400, {}),
    "space before the colon": (request(headers=[("A ", "b")]), 400, {}),
    "folded header": (request(headers=[("A", "b\r\n c")]), 400, {}),
    "broken request line": (b"GET /echo\r\nHost: a\r\n\r\n", 400, {}),
    "no Upgrade in Connection": (request(leave_out=["Connection"], headers=[("Connection", "keep-alive")]), 400, {}),
    "no version": (request(leave_out=["Sec-WebSocket-Version"]), 400, {"sec-websocket-version": "13"}),
    "no key": (request(leave_out=["Sec-WebSocket-Key"]), 400, {}),
    "short key": (request(leave_out=["Sec-WebSocket-Key"], headers=[("Sec-WebSocket-Key", "AAAA")]), 400, {}),
    "two keys": (request(headers=[("Sec-WebSocket-Key", base64.b64encode(b"0" * 16).decode())]), 400, {}),
    "a body": (request(headers=[("Content-Length", "3")]), 400, {}),
    "chunked body": (request(headers=[("Transfer-Encoding", "chunked")]), 400, {}),
    "bad subprotocol": (request(headers=[("Sec-WebSocket-Protocol", "a b")]), 400, {}),
    "unknown path": (request("/nowhere"), 404, {}),
    "a prefix is no route": (request("/echo/more"), 404, {}),
    "POST": (request(method="POST"), 405, {"allow": "GET"}),
    "HEAD": (request(method="HEAD"), 405, {"allow": "GET"}),
    "no Upgrade": (request(leave_out=["Upgrade"]), 426, {"upgrade": "websocket"}),
    "HTTP/1.0": (request(version="HTTP/1.0"), 426, {"upgrade": "websocket"}),
    "version 8": (
        request(leave_out=["Sec-WebSocket-Version"], headers=[("Sec-WebSocket-Version", "8")]),
        426,
        {"sec-websocket-version": "13"},
    ),
    "two versions": (request(headers=[("Sec-WebSocket-Version", "13")]), 426, {"sec-websocket-version": "13"}),
    "HTTP/2.0": (request(version="HTTP/2.0"), 505, {}),
    "unknown encoding": (request(headers=[("Transfer-Encoding", "gzip")]), 501, {}),
    "long target": (request("/" + "a" * 5_000), 414, {}),
    "large head": (request(headers=[("A", "b" * 9_000)]), 431, {}),
    "many headers": (request(headers=[(f"A{number}", "b") for number in range(120)]), 431, {}),
    "endless head": (b"GET /echo HTTP/1.1\r\nA: " + b"b" * 200_000, 431, {}),
}


@case("every wrong request gets its status, and the stream ends")
def refusals():
    with Daemon() as daemon:
        for name, (head, status, fields) in REFUSALS.items():
            with Socket(daemon) as client:
                client.send(head)
                found, answered, body = client.answer(is_head=name == "HEAD")
                equal(found, status, name)
                assert body or name == "HEAD", f"{name}: no body"
                for field, value in fields.items():
                    equal(answered.get(field), value, f"{name}: {field}")
        still_well(daemon)


@case("the answer is the one RFC 6455 computes")
def accepted():
    with Daemon() as daemon, Socket(daemon) as client:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        client.send(request(leave_out=["Sec-WebSocket-Key"], headers=[("Sec-WebSocket-Key", key)]))
        status, fields = client.head()
        equal(status, 101)
        equal(fields["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        assert "sec-websocket-protocol" not in fields


@case("a page of another origin is refused with 403")
def origins():
    with Daemon(allowed_origins="https://example.com") as daemon:
        for origin, status in [
            ("https://example.com", 101),
            ("HTTPS://EXAMPLE.COM", 101),
            ("https://evil.example", 403),
            ("null", 403),
        ]:
            with Socket(daemon) as client:
                client.send(request(headers=[("Origin", origin)]))
                equal(client.head()[0], status, origin)
        daemon.echoes()  # no browser, no origin


@case("a head that comes byte by byte is read as a whole one")
def byte_by_byte():
    with Daemon() as daemon, Socket(daemon) as client:
        for byte in request():
            client.send(bytes([byte]))
        equal(client.head()[0], 101)


@case("a head split anywhere, with frames behind it, is answered the same")
def splits():
    whole = request() + frame(TEXT, b"early") + frame(PING, b"p") + frame(BINARY, bytes(300))
    with Daemon("--schedulers", "1") as daemon, Client(daemon) as other:
        for split in range(1, len(whole)):
            with Socket(daemon) as client:
                client.send(whole[:split])
                other.echo()  # one scheduler: it has looked at the first part by now
                client.send(whole[split:])
                equal(client.head()[0], 101, split)
                client.__class__ = Client
                client.expect(TEXT, b"early")
                client.expect(PONG, b"p")
                client.expect(BINARY, bytes(300))
        still_well(daemon)


@case("64 KiB of frames sent together with the request are all answered, in order")
def early_frames():
    frames = b"".join(frame(TEXT, struct.pack(">I", number).hex().encode()) for number in range(4_000))
    with Daemon() as daemon:
        with Client(daemon, with_request=frames) as client:
            for number in range(4_000):
                client.expect(TEXT, struct.pack(">I", number).hex().encode())
        still_well(daemon)


@case("a slow handshake ends with 408, whatever trickles in")
def slow():
    with Daemon(handshake_timeout="400ms") as daemon:
        clients = [Socket(daemon) for _ in range(50)]
        for client in clients[:25]:
            client.send(request()[:40])
        trickling = Socket(daemon)
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                trickling.send(b"G")
                time.sleep(0.05)  # a slowloris: the waiting is the test
                trickling.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    trickling.more()
                    break
                trickling.socket.settimeout(DEADLINE)
        trickling.socket.settimeout(DEADLINE)
        for client in clients + [trickling]:
            equal(client.head()[0], 408)
            client.close()
        still_well(daemon)
