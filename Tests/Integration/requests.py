"""Plain HTTP/1.1 requests (RFC 9110, RFC 9112): keep-alive, bodies, pages, health and metrics."""

import collections
import re
import signal
import tempfile

import ledger
from harness import *
from hostile_ends import read_to_end
from hostile_frames import under_attack
from secured import behind

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def get(path="/health", headers=b"", method=b"GET", version=b"1.1", body=b""):
    return b"%s %s HTTP/%s\r\nHost: a\r\n%s\r\n%s" % (method, path.encode(), version, headers, body)


def answer(client, is_head=False):
    """The next answer: status, fields, body. Interim ones are passed over, and counted."""
    interim = -1
    status = 100
    while status == 100:
        interim += 1
        status, fields = client.head()
    body = b"" if is_head else client.take(int(fields["content-length"]))
    return status, fields, body, interim


def serves(client, expected=200, **options):
    status, fields, body, _ = answer(client, **options)
    equal(status, expected, body)
    return fields, body


@contextlib.contextmanager
def asking(daemon, cause=None, **options):
    """A client; its connection must end for `cause`."""
    with Socket(daemon, **options) as client:
        port = ledger.port_of(client)
        yield client
    if cause:
        equal(ledger.cause_of(daemon, port), cause)


# --- One after the other ----------------------------------------------------------------------------------------------


@case("requests: keep-alive: many on one connection, then the client's end: requests_served")
def keep_alive():
    with under_attack() as daemon:
        for last in (b"", b"Connection: close\r\n"):
            with asking(daemon, "requests_served") as client:
                for number in range(50):
                    client.send(GET)
                    fields, body = serves(client)
                    equal((fields.get("connection", "keep-alive").lower(), body), ("keep-alive", b"ok\n"))
                client.send(get(headers=last))
                fields, _ = serves(client)
                if last:
                    equal(fields["connection"], "close")
                    client.ended()
        with asking(daemon, "requests_served") as client:
            client.send(get(headers=b"Connection: x, CLOSE\r\n") + GET)
            equal(serves(client)[0]["connection"], "close")
            client.ended()  # what was asked behind it is not answered


@case("requests: a hundred in one packet, and split anywhere, are answered in order")
def pipelined():
    # Every wait is one for ever: what is not noticed when it comes is not answered.
    with under_attack(handshake_timeout="60s", keep_alive_timeout="60s") as daemon:
        sent, expected = b"", []
        for number in range(100):
            path, method = [("/health", b"GET"), ("/health", b"HEAD"), ("/health?x=1", b"GET")][number % 3]
            body = b"x" * number
            length = b"Content-Length: %d\r\n" % number if number % 2 else b""
            sent += get(path, length, method, body=body if number % 2 else b"")
            expected.append((200, method == b"HEAD"))
        for at in [0, *range(1, len(sent), 97)]:
            with asking(daemon) as client:
                client.send(sent[:at])
                client.send(sent[at:])
                for status, is_head in expected:
                    serves(client, status, is_head=is_head)
                client.socket.shutdown(socket.SHUT_WR)
                client.ended()
        with asking(daemon) as client:
            for byte in sent[:1_500]:
                client.send(bytes([byte]))
            for status, is_head in expected[:10]:
                serves(client, status, is_head=is_head)


@case("requests: max-requests-per-connection: the last says Connection: close, those behind it are not answered")
def requests_max():
    with under_attack(max_requests_per_connection=5) as daemon:
        with asking(daemon, "requests_served") as client:
            client.send(GET * 8)
            found = [serves(client)[0].get("connection", "keep-alive").lower() for _ in range(5)]
            equal(found, ["keep-alive"] * 4 + ["close"])
            client.ended()
    with under_attack(keep_alive_timeout=0) as daemon, asking(daemon, "requests_served") as client:
        client.send(GET * 2)
        equal(serves(client)[0]["connection"], "close")
        client.ended()


@case("requests: keep-alive-timeout ends what is silent between them, and a WebSocket never")
def keep_alive_timeout():
    with under_attack(keep_alive_timeout="300ms") as daemon, Client(daemon) as other:

        def check(index):
            with asking(daemon, "requests_served") as client:
                for _ in range(index):
                    client.send(GET)
                    serves(client)
                client.send(GET)
                serves(client)
                equal(read_to_end(client), b"")

        together(8, check)
        other.echo(b"still here")


@case("requests: HTTP/1.0: closed behind the answer, unless keep-alive is asked for")
def version_10():
    with under_attack() as daemon:
        with asking(daemon, "requests_served") as client:
            client.send(get(version=b"1.0"))
            serves(client)
            client.ended()
        with asking(daemon, "requests_served") as client:
            for _ in range(3):
                client.send(get(version=b"1.0", headers=b"Connection: Keep-Alive\r\n"))
                equal(serves(client)[0]["connection"].lower(), "keep-alive")
            client.send(b"GET /health HTTP/1.0\r\n\r\n")  # no Host either: HTTP/1.0 has none
            serves(client)
            client.ended()
        for version, expected in [(b"1.1", 200), (b"2.0", 505), (b"3.0", 505), (b"1.10", 400), (b"1", 400)]:
            with asking(daemon) as client:
                client.send(get(version=version, headers=b"Connection: close\r\n"))
                equal(answer(client)[0], expected, version)


@case("requests: an upgrade behind plain requests, in the same packet too, and no plain request behind an upgrade")
def upgrades():
    with under_attack(keep_alive_timeout="300ms", ping_interval="0") as daemon:
        for at in (0, 10, len(GET), len(GET) * 3 + 5, len(GET) * 3 + len(request())):
            sent = GET * 3 + request() + frame(TEXT, b"with the request")
            with asking(daemon, "client_closed") as client:
                client.send(sent[:at])
                client.send(sent[at:])
                for _ in range(3):
                    serves(client)
                equal(client.head()[0], 101)
                client.__class__ = Client
                client.expect(TEXT, b"with the request")
                client.echo(bytes(100_000), BINARY)
                client.close_properly()
        with Client(daemon) as client:
            client.send(GET)
            equal(client.receive_close(), 1002)
        with asking(daemon, "handshake_refused") as client:
            client.send(GET + request(leave_out=["Sec-WebSocket-Version"]) + GET)
            serves(client)
            equal(client.head()[0] // 100, 4)


# --- Methods, paths ---------------------------------------------------------------------------------------------------


@case("requests: HEAD has the fields of GET and no body; other methods get 405 and Allow; other paths 404")
def methods():
    with tempfile.NamedTemporaryFile("w", suffix=".html") as page:
        page.write("<p>page</p>")
        page.flush()
        routes = "routes: [{path: /health, kind: health}, {path: /metrics, kind: metrics}, {path: /echo, kind: echo}, "
        with behind("", f"{routes}{{path: /page, kind: page, file: {page.name}}}]") as daemon:
            for path in ("/health", "/page"):
                with asking(daemon) as client:
                    client.send(get(path) + get(path, method=b"HEAD") + get(path))
                    (whole, body), (head, _), (again, _) = serves(client), serves(client, is_head=True), serves(client)
                    equal(head, whole)
                    equal(again, whole)
                    equal(int(whole["content-length"]), len(body))
            with asking(daemon) as client:
                client.send(get("/metrics", method=b"HEAD") + GET)
                assert int(serves(client, is_head=True)[0]["content-length"]) > 1_000
                equal(serves(client)[1], b"ok\n")
            for path in ("/health", "/metrics", "/page"):
                for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get", b"PATCH"):
                    with asking(daemon, "handshake_refused") as client:
                        client.send(get(path, method=method))
                        fields, _ = serves(client, 405)
                        equal({one.strip() for one in fields["allow"].split(",")}, {"GET", "HEAD"})
            for path in ("/", "/healthy", "/health/", "/Health", "/page/x", "/%68ealthy"):
                with asking(daemon, "handshake_refused") as client:
                    client.send(get(path))
                    serves(client, 404)
            for path in ("/nowhere", "/echo"):
                with asking(daemon, "handshake_refused") as client:
                    client.send(get(path, method=b"HEAD"))
                    equal(client.head()[0] // 100, 4)
                    client.ended()  # no body (RFC 9110 §9.3.2)
            for path in ("/health?", "/health?a=b&c", "/%68ealth"):
                with asking(daemon) as client:
                    client.send(get(path))
                    equal(serves(client)[1], b"ok\n")
            with asking(daemon, "handshake_refused") as client:
                client.send(get("/echo"))
                fields, _ = serves(client, 426)
                equal(fields["upgrade"].lower(), "websocket")


# --- Bodies -----------------------------------------------------------------------------------------------------------


def sized(body):
    return b"Content-Length: %d\r\n" % len(body), body


def chunked(*pieces, extension=b"", trailers=b""):
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n", chunks + b"0" + extension + b"\r\n" + trailers + b"\r\n"


@case("requests: bodies, sized and in chunks, split anywhere: taken whole, and the next request is the next")
def bodies():
    with under_attack() as daemon:
        for fields, body in [
            sized(b""),
            sized(b"a body"),
            sized(GET),  # no request
            sized(os.urandom(64 << 10)),
            chunked(),
            chunked(b"one", b"two" * 100),
            chunked(*[b"a"] * 50),
            chunked(GET, extension=b";name=value"),
            chunked(b"x", extension=b';name="quoted; \\" \r"'.replace(b"\r", b"\t")),
            chunked(b"x", trailers=b"Expires: never\r\nX: y\r\n"),
            chunked(os.urandom(64 << 10)),
        ]:
            sent = get(headers=fields, body=body) + get("/metrics", method=b"HEAD")
            step = 1 if len(sent) < 200 else len(sent) // 60
            for at in range(0, len(sent), step):
                with asking(daemon) as client:
                    client.send(sent[:at])
                    client.send(sent[at:])
                    equal(serves(client)[1], b"ok\n")
                    assert "version=0.0.4" in serves(client, is_head=True)[0]["content-type"]


@case("requests: a body past max-body-bytes is 413, by its length before a byte of it, by its chunks at the limit")
def body_limit():
    with under_attack(max_body_bytes=1_000) as daemon:
        for fields, body, expected in [
            (*sized(bytes(1_000)), 200),
            (*chunked(bytes(999), b"1"), 200),
            (b"Content-Length: 1001\r\n", b"", 413),
            (b"Content-Length: 1001\r\nExpect: 100-continue\r\n", b"", 413),
            (*sized(bytes(1_001)), 413),
            (*chunked(bytes(1_001)), 413),
            (*chunked(bytes(999), b"12"), 413),
            (b"Transfer-Encoding: chunked\r\n", b"3e9\r\n", 413),
        ]:
            with asking(daemon, "request_invalid" if expected == 413 else "requests_served") as client:
                client.send(get(headers=fields, body=body))
                status, _, _, interim = answer(client)
                equal((status, interim), (expected, 0), (fields, len(body)))
                if expected == 413:
                    client.ended()


@case("requests: Expect: 100-continue is answered where the body waits for it; anything else is 417")
def expectations():
    expect = b"Expect: 100-continue\r\n"
    with under_attack() as daemon:
        for fields, body in (sized(b"a body"), chunked(b"in", b"chunks")):
            with asking(daemon, "requests_served") as client:
                client.send(get(headers=fields + expect))
                equal(client.head()[0], 100)
                client.send(body + GET)
                serves(client)
                serves(client)
            # Who sends the body at once gets its answer, with or without the interim one.
            with asking(daemon, "requests_served") as client:
                client.send(get(headers=fields + expect, body=body) + GET)
                status, _, _, interim = answer(client)
                assert status == 200 and interim <= 1, (status, interim)
                equal(answer(client)[::3], (200, 0))
        with asking(daemon, "requests_served") as client:
            client.send(get(headers=expect))  # no body: nothing to wait for
            equal(answer(client)[::3], (200, 0))
            client.send(get(headers=expect + sized(b"x")[0], version=b"1.0", body=b"x"))
            equal(answer(client)[::3], (200, 0))  # HTTP/1.0 knows no interim answers
        for unknown in (b"Expect: the-unexpected\r\n", b"Expect: 100-continue, more\r\n"):
            with asking(daemon) as client:
                client.send(get(headers=sized(b"x")[0] + unknown, body=b"x"))
                equal(answer(client)[0], 417, unknown)
                client.ended()


# --- Pages, health, metrics -------------------------------------------------------------------------------------------


@case("requests: pages: their type, whole at any size, read again by SIGHUP; a file that has gone leaves the old one")
def pages():
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "index.html": "text/html; charset=utf-8",
            "a.txt": "text/plain; charset=utf-8",
            "b.js": "text/javascript",
            "c.svg": "image/svg+xml",
            "d.unknown": "application/octet-stream",
            "e.css": "text/css",
            "f.json": "application/json",
            "none": "application/octet-stream",
        }
        contents = {name: os.urandom(1 << 20 if name == "a.txt" else 1_000) for name in files}
        for name, content in contents.items():
            with open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        routes = ", ".join(f"{{path: /{name}, kind: page, file: {folder}/{name}}}" for name in files)
        with behind("", f"routes: [{routes}]") as daemon:
            with asking(daemon) as client:
                for name, kind in files.items():
                    client.send(get(f"/{name}") + get(f"/{name}", method=b"HEAD"))
                    fields, body = serves(client)
                    assert body == contents[name], f"{name}: {len(body)} bytes, others than those of the file"
                    equal(fields["content-type"].split(";")[0], kind.split(";")[0], name)
                    equal(serves(client, is_head=True)[0], fields)
                with open(f"{folder}/index.html", "wb") as file:
                    file.write(b"new")
                client.send(get("/index.html"))
                equal(serves(client)[1], contents["index.html"])
                daemon.process.send_signal(signal.SIGHUP)

                def is_new():
                    client.send(get("/index.html"))
                    return serves(client)[1] == b"new"

                eventually(is_new, "the new page")
                os.remove(f"{folder}/index.html")
                daemon.process.send_signal(signal.SIGHUP)
                eventually(lambda: "the old pages stay" in daemon.logged(), daemon.said())
                assert "level=error" in daemon.logged() and f"{folder}/index.html" in daemon.logged()
                assert is_new(), "the page is gone"


@case("requests: a client that never reads a big page is cut, and its memory given back; slow ones get all of it")
def unread_page():
    with tempfile.NamedTemporaryFile(suffix=".txt") as page:
        content = os.urandom(1 << 20)
        page.write(content)
        page.flush()
        routes = f"routes: [{{path: /page, kind: page, file: {page.name}}}]"
        with behind("", routes, handshake_timeout="500ms", long_schedule="10s") as daemon:
            before = daemon.rss()

            def never(_):
                with asking(daemon, receive_buffer=4_096) as client:
                    with contextlib.suppress(OSError):
                        client.send(get("/page") * 50)
                    equal(ledger.cause_of(daemon, ledger.port_of(client)), "slow_consumer")

            together(12, never)
            once = daemon.rss() - before
            for _ in range(2):
                together(12, never)
            eventually(lambda: daemon.rss() - before < once + (6 << 20), f"memory came back: {once} bytes after 12")
        with behind("", routes) as daemon:

            def slowly(_):
                with asking(daemon, "requests_served", receive_buffer=4_096) as client:
                    client.send(get("/page") * 3)
                    for _ in range(3):
                        assert serves(client)[1] == content, "another page"

            together(4, slowly)


@case("requests: a drain: a request under way gets 503, idle connections end, health says so meanwhile")
def drains():
    with Daemon(log_level="debug", drain_timeout="20s") as daemon:
        idle, half, half_body, open_one = Socket(daemon), Socket(daemon), Socket(daemon), Client(daemon)
        idle.send(GET)
        serves(idle)
        half.send(GET + GET[:-2])
        serves(half)
        half_body.send(GET + get(headers=b"Content-Length: 10\r\n", body=b"12345"))
        serves(half_body)
        daemon.echoes()
        daemon.process.send_signal(signal.SIGTERM)
        idle.ended()
        for client in (half, half_body):
            equal(client.answer()[0], 503)
            client.close()
        equal(open_one.receive_close(), 1001)
        open_one.close()
        idle.close()
        equal(daemon.process.wait(DEADLINE), 0)


# Prometheus's text format, version 0.0.4: what a line may be.
HELP = re.compile(r"# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) \S.*")
TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)")


@case("requests: metrics are Prometheus's text: each family once, with help and type, counters called _total")
def metrics_format():
    with under_attack(max_connections=100) as daemon, Client(daemon) as other:
        other.echo()
        with asking(daemon) as client:
            client.send(get("/metrics"))
            fields, body = serves(client)
        equal(fields["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        equal(fields["cache-control"], "no-store")
        assert body.endswith(b"\n"), body[-50:]
        samples = ledger.parse_metrics(body.decode())
        families, current = {}, None
        for line in body.decode().splitlines():
            if found := HELP.fullmatch(line):
                current = found[1]
                assert current not in families, f"{current} stands there twice"
                families[current] = None
            elif found := TYPE.fullmatch(line):
                equal(found[1], current)
                families[current] = found[2]
            else:
                assert re.match(rf"{current}[{{ ]", line), f"{line!r} is not of {current}"
        for name, kind in families.items():
            equal(name.endswith("_total"), kind == "counter", f"{name} is a {kind}")
        equal({name for name, _ in samples}, set(families))
        assert all(value >= 0 for value in samples.values()), samples
        listener = ("listener", daemon.address)
        equal(samples["roost_connections", (listener,)], 2, "the one that asks, and the other")


@case("requests: metrics and the log tell the same of every connection, whatever became of it")
def metrics_agree():
    settings = {"handshake_timeout": "300ms", "close_timeout": "300ms", "max_body_bytes": 10, "restart_intensity": 0}
    with under_attack(**settings) as daemon:
        expected = collections.Counter()
        for cause, sent, ends in [
            ("requests_served", GET * 3, True),
            ("request_invalid", get(headers=b"Content-Length: 11\r\n"), False),
            ("handshake_refused", get("/nowhere"), False),
            ("handshake_timeout", GET + b"GET", False),
            ("handshake_abandoned", b"GET", True),
            ("client_closed", request() + frame(CLOSE, close_payload(1000)), False),
            ("protocol_error", request() + frame(3), False),
            ("invalid_payload", request() + frame(TEXT, b"\xff"), False),
            ("connection_lost", request(), True),
            ("handler_crashed", request("/demo/throw") + frame(TEXT, b"go"), False),
        ]:
            for _ in range(3):
                with asking(daemon, cause) as client:
                    client.send(sent)
                    if ends:
                        client.socket.shutdown(socket.SHUT_WR)
                    read_to_end(client)
                expected[cause] += 1
        logged = ledger.each_ended_once(daemon)
        with asking(daemon) as client:
            client.send(get("/metrics"))
            samples = ledger.parse_metrics(serves(client)[1].decode())
        counted = ledger.ended_by_cause(samples)
        equal({cause: count for cause, count in counted.items() if count}, dict(logged))
        for cause, count in expected.items():
            assert counted[cause] >= count, (cause, counted)
        listener = (("listener", daemon.address),)
        ended = sum(counted.values())
        equal(samples["roost_connections_accepted_total", listener], ended + 1, "all that ended, and this one")
        equal(samples["roost_handler_crashes_total", listener], 3)
