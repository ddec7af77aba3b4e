"""Who may come in, and as whom: PROXY headers, forwarded addresses, listeners of their own, origins, limits."""

import re
import signal
import struct
import tempfile

import certificates
import ledger
import secured
from harness import *
from hostile_doors import SIGNATURE, version_2
from hostile_ends import read_to_end
from secured import SecureClient, SecureSocket, behind, listener, serving

PROXIED = "proxy-protocol: yes\ntrusted-proxies: [127.0.0.1]"


def peers(daemon, cause=r"\S+"):
    """The peers of connections that have ended, as the log names them, in order."""
    return re.findall(rf'"connection ended" connection\.cause={cause} .*connection\.peer=(\S+)$', daemon.logged(), re.M)


def ended_as(daemon, before, expected, what):
    """One more has ended than the `before` of then, and is called `expected`: each is waited for before the next."""
    eventually(lambda: len(peers(daemon)) > before, f"{what}: it has ended")
    equal(peers(daemon)[before:], [expected], what)


def is_let_in(daemon, sent=b"", headers=(), **options):
    """Whether a client may upgrade, and the answer's header fields."""
    with Socket(daemon, **options) as client:
        client.send(sent + request(headers=headers))
        status, fields = client.head()
    assert status in (101, 429), status
    return status == 101, fields


# --- PROXY ------------------------------------------------------------------------------------------------------------


def address_6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def unix_body(path):
    return path.ljust(108, b"\0") + b"/proxy".ljust(108, b"\0")


def crc32c(data):
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def with_checksum():
    body = socket.inet_aton("192.0.2.9") * 2 + struct.pack(">HH", 4_009, 443) + b"\x01\x00\x08http/1.1\x03\x00\x04"
    header = version_2(body=body + bytes(4))
    return header[:-4] + struct.pack(">I", crc32c(header))


IPV6_BODY = address_6("2001:db8::7") * 2 + struct.pack(">HH", 4_007, 443)
HEADERS = {
    # What the proxy sends, and whom the log names; None: the proxy itself.
    "1, IPv4": (b"PROXY TCP4 192.0.2.5 198.51.100.1 4001 443\r\n", "192.0.2.5:4001"),
    "1, IPv6": (b"PROXY TCP6 2001:db8::5 2001:db8::1 4002 443\r\n", "[2001:db8::5]:4002"),
    "1, IPv4 as IPv6": (b"PROXY TCP6 ::ffff:192.0.2.6 ::1 4003 443\r\n", "192.0.2.6:4003"),
    "1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "1, unknown with more": (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", None),
    "2, IPv4": (version_2(body=socket.inet_aton("192.0.2.7") * 2 + struct.pack(">HH", 4_004, 443)), "192.0.2.7:4004"),
    "2, IPv6": (version_2(family=0x21, body=IPV6_BODY), "[2001:db8::7]:4007"),
    "2, QUIC": (version_2(family=0x12, body=socket.inet_aton("192.0.2.8") * 2 + bytes(4)), "192.0.2.8:0"),
    "2, local": (version_2(0x20, 0x00, b""), None),
    "2, local with addresses": (version_2(0x20, 0x11, bytes(12)), None),
    "2, unspecified": (version_2(0x21, 0x00, b"\x04\x00\x01a"), None),
    "2, TLVs and checksum": (with_checksum(), "192.0.2.9:4009"),
    "2, unix": (version_2(family=0x31, body=unix_body(b"/run/client")), "unix:/run/client"),
    "2, unix without a name": (version_2(family=0x31, body=unix_body(b"")), None),
}


def claim(daemon, client, named):
    """Notes whom the log will name."""
    if named is not None:
        daemon.claims(client, None if named.startswith("unix:") else int(named.rsplit(":", 1)[1]))


@case("PROXY: both versions, every family, whole and split at every byte: the log names the client")
def proxy():
    with behind(PROXIED) as daemon:
        for name, (header, named) in HEADERS.items():
            sent = header + request() + frame(TEXT, b"first")
            for at in [0, *range(1, len(header) + 2, 1 + len(header) // 60)]:
                before = len(peers(daemon))
                with Socket(daemon) as client:
                    own = "%s:%d" % client.socket.getsockname()
                    client.send(sent[:at])
                    client.send(sent[at:])
                    equal(client.head()[0], 101, (name, at))
                    equal(client.take(7), frame(TEXT, b"first", key=None), (name, at))
                    claim(daemon, client.socket, named)
                ended_as(daemon, before, named or own, (name, at))


@case("PROXY before TLS: the header in the clear, then TLS, split at every byte of the border")
def proxy_tls():
    with behind(PROXIED + "\n" + secured.tls_section(secured.local())) as daemon:
        for header, named in HEADERS.values():
            client = SecureClient(daemon, before=header)
            client.echo(b"through both")
            claim(daemon, client.raw(), named)
            client.close()
        header = HEADERS["2, IPv4"][0]
        for at in range(len(header)):
            client = SecureSocket(daemon, before=header[at:], first=header[:at])
            client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            equal(client.head()[0], 200)
            claim(daemon, client.raw(), HEADERS["2, IPv4"][1])
            client.close()


@case("PROXY: refused from who is not trusted, where it is missing, where it came and was not asked for")
def proxy_refused():
    section = secured.tls_section(secured.local())
    with serving("listeners:\n" + listener(PROXIED) + listener(f"{PROXIED}\n{section}") + listener()) as daemon:
        header = HEADERS["1, IPv4"][0]
        refused = "connection.cause=proxy_refused"
        count = daemon.logged().count(refused)
        for sent, options in [
            (header + request(), {"source": "127.0.0.2"}),
            (request(), {"source": "127.0.0.2"}),
            (request(), {}),
            (b"\x16\x03\x01", {"address": daemon.addresses[1]}),
            (request(), {"address": daemon.addresses[1]}),
        ]:
            count += 1
            with Socket(daemon, **options) as client:
                with contextlib.suppress(OSError):
                    client.send(sent)
                equal(read_to_end(client), b"")
            eventually(lambda: daemon.logged().count(refused) == count, f"{sent[:20]} is refused")
        assert "127.0.0.2:" in "".join(peers(daemon, "proxy_refused")), peers(daemon)
        # Where it is not asked for it is a request, and a wrong one.
        for sent in (header, SIGNATURE + bytes(100)):
            with Socket(daemon, address=daemon.addresses[2]) as client:
                client.send(sent + request())
                equal(client.head()[0], 400)


# --- Forwarded --------------------------------------------------------------------------------------------------------

X = "X-Forwarded-For"
FORWARDED = {
    # The fields of a request from 127.0.0.1, which is trusted as 10.0.0.0/8 is, and whom the log names.
    "x-forwarded-for": [
        ([(X, "192.0.2.1")], "192.0.2.1:0"),
        ([(X, "192.0.2.1:4711")], "192.0.2.1:0"),
        ([(X, "2001:db8::1")], "[2001:db8::1]:0"),
        ([(X, "[2001:db8::1]:4711")], "[2001:db8::1]:0"),
        ([(X, "192.0.2.1, 10.1.2.3, 10.3.2.1")], "192.0.2.1:0"),
        ([(X, "203.0.113.9, 192.0.2.1, 10.1.2.3")], "192.0.2.1:0"),  # what stands left the client may have made up
        ([(X, "203.0.113.9"), (X, "192.0.2.1")], "192.0.2.1:0"),
        ([(X, "10.0.0.1, 10.0.0.2")], "10.0.0.1:0"),
        ([(X, "127.0.0.1, 192.0.2.1")], "192.0.2.1:0"),
        ([(X, "<script>, 192.0.2.1")], "192.0.2.1:0"),
        ([(X, "192.0.2.1, unknown")], None),
        ([(X, "192.0.2.1, nonsense, 10.0.0.1")], "10.0.0.1:0"),
        ([(X, "192.0.2.256")], None),
        ([(X, "")], None),
        ([("Forwarded", "for=192.0.2.1")], None),  # the other header is the client's own
        ([], None),
    ],
    "forwarded": [
        ([("Forwarded", "for=192.0.2.1")], "192.0.2.1:0"),
        ([("Forwarded", 'proto=https;For="[2001:db8::1]:4711";by=203.0.113.1')], "[2001:db8::1]:0"),
        ([("Forwarded", 'for="192.0.2.1:4711"')], "192.0.2.1:0"),
        ([("Forwarded", "for=203.0.113.9, for=192.0.2.1, for=10.0.0.1")], "192.0.2.1:0"),
        ([("Forwarded", 'for="a, for=192.0.2.1')], "192.0.2.1:0"),
        ([("Forwarded", "for=192.0.2.1, for=_hidden")], None),
        ([("Forwarded", "for=192.0.2.1, for=unknown")], None),
        ([("Forwarded", "for=2001:db8::1")], None),  # IPv6 needs brackets and quotes
        ([("Forwarded", "for=192.0.2.1;for=192.0.2.2")], None),
        ([("Forwarded", "by=192.0.2.1")], None),
        ([(X, "192.0.2.1")], None),
    ],
}


@case("X-Forwarded-For and Forwarded: the nearest who is not trusted; of what is spoofed or garbage nothing")
def forwarded():
    def check(index):
        header = list(FORWARDED)[index]
        settings = f"forwarded-header: {header}\ntrusted-proxies: [127.0.0.1, 10.0.0.0/8]"
        with behind(settings) as daemon:
            for fields, named in FORWARDED[header]:
                before = len(peers(daemon))
                with Client(daemon, headers=fields) as client:
                    own = "%s:%d" % client.socket.getsockname()
                    client.echo()
                    claim(daemon, client.socket, named)
                ended_as(daemon, before, named or own, fields)
            # From who is not trusted nothing is believed.
            before = len(peers(daemon))
            with Client(daemon, source="127.0.0.2", headers=FORWARDED[header][0][0]) as client:
                own = "%s:%d" % client.socket.getsockname()
            ended_as(daemon, before, own, "from who is not trusted")

    together(len(FORWARDED), check)


@case("unix sockets: their peers may be trusted, with PROXY headers and with forwarded addresses")
def unix():
    with tempfile.TemporaryDirectory() as folder:
        names = [f"unix:{folder}/{name}" for name in ("plain", "proxy", "forwarded", "distrusted")]
        settings = ["", "proxy-protocol: yes\ntrusted-proxies: [unix]",
                    "forwarded-header: x-forwarded-for\ntrusted-proxies: [unix]\nmax-connections-per-address: 1",
                    "proxy-protocol: yes\ntrusted-proxies: [127.0.0.1]"]  # fmt: skip
        config = "listeners:\n" + "".join(
            listener(lines).replace("127.0.0.1:0", name, 1) for name, lines in zip(names, settings)
        )
        with Daemon(listen=(), config=config, log_level="debug") as daemon:
            equal(daemon.addresses, names)
            header, named = HEADERS["1, IPv4"]
            for number, sent, expected in [(0, b"", None), (1, header, named), (1, HEADERS["2, local"][0], None)]:
                before = len(peers(daemon))
                with Socket(daemon, address=names[number]) as client:
                    client.send(sent + request())
                    equal(client.head()[0], 101, number)
                eventually(lambda: len(peers(daemon)) == before + 1, "it has ended")
                if expected:
                    equal(peers(daemon)[-1], expected)
            with Socket(daemon, address=names[3]) as client:
                with contextlib.suppress(OSError):
                    client.send(header + request())
                equal(read_to_end(client), b"")
            first = Client(daemon, address=names[2], headers=[(X, "192.0.2.1")])
            equal(is_let_in(daemon, headers=[(X, "192.0.2.1")], address=names[2])[0], False)
            equal(is_let_in(daemon, headers=[(X, "192.0.2.2")], address=names[2])[0], True)
            first.close()


# --- Listeners and origins --------------------------------------------------------------------------------------------


@case("several listeners: each has its own routes, TLS and limits, and none of another's")
def listeners():
    config = "".join(
        [
            "listeners:\n",
            listener("", "routes: [{path: /a, kind: echo, max-message-bytes: 10}]"),
            listener(secured.tls_section(secured.local()), "routes: [{path: /b/*, kind: echo}]"),
            listener(secured.tls_section(certificates.certificate("of-a-listener", "DNS:localhost"))),
            listener("max-head-bytes: 512", "routes: [{path: /health, kind: health}, {path: /metrics, kind: metrics}]"),
            "routes: [{path: /c, kind: echo}]\n",
        ]
    )
    with serving(config) as daemon:

        def status(number, path):
            kind = SecureSocket if number in (1, 2) else Socket
            with kind(daemon, address=daemon.addresses[number]) as client:
                client.send(request(path))
                return client.head()[0]

        paths = ["/a", "/b/x", "/b/", "/c", "/health", "/metrics", "/echo"]
        for number, right in enumerate([{"/a"}, {"/b/x", "/b/"}, {"/c"}, {"/health", "/metrics"}]):
            for path in paths:
                expected = 404 if path not in right else 200 if number == 3 else 101
                equal(status(number, path), expected, (number, path))
        with Client(daemon, "/a") as client:
            client.echo(b"1234567890")
            client.send_frame(TEXT, b"12345678901")
            equal(client.receive_close(), 1009)
        with SecureClient(daemon, address=daemon.addresses[1], path="/b/x") as first:
            first.echo(bytes(100), BINARY)
            with SecureClient(daemon, address=daemon.addresses[2], path="/c") as second:
                assert first.shown() != second.shown(), "the same certificate"
        with Socket(daemon, address=daemon.addresses[3]) as client:
            client.send(request("/health", [("A", "a" * 600)]))
            equal(client.head()[0], 431)


ORIGINS = {
    # The route's `allowed-origins`, pages that may connect, and pages that may not.
    "exact": (
        "[https://example.com, 'http://localhost:8080']",
        ["https://example.com", "https://EXAMPLE.com", "https://example.com:443", "http://localhost:8080"],
        ["http://example.com", "https://example.com:444", "https://a.example.com", "https://example.com.evil.test",
         "https://evil.test/https://example.com", "http://localhost", "null", "https://example.comx", "", "nonsense"],
    ),
    "wildcard": (
        "['https://*.example.com']",
        ["https://a.example.com", "https://a.b.example.com", "https://A.example.COM"],
        ["https://example.com", "https://.example.com", "https://aexample.com", "http://a.example.com",
         "https://a.example.com:8443", "https://a.example.com.evil.test", "https://a..example.com", "null"],
    ),
    "same": (
        "[same]",
        ["http://localhost:9001", "https://localhost:9001"],
        ["http://localhost", "http://other:9001", "null", "http://localhost:9002", "http://localhost.evil.test:9001"],
    ),
    "null": ("['null']", ["null"], ["https://example.com", "NULL", ""]),
    "any": ("any", ["https://example.com", "null", "https://evil.test"], []),
    "nobody": ("[]", [], ["https://example.com", "null", "http://localhost:9001"]),
}  # fmt: skip


@case("origins: exact, of any subdomain, same, null: others get 403 and origin_refused; no browser, no origin")
def origins():
    routes = "routes:\n" + "".join(
        f"  - {{path: /{name}, kind: echo, allowed-origins: {allowed}}}\n" for name, (allowed, _, _) in ORIGINS.items()
    )
    with behind("", routes) as daemon:
        refused = 0

        def status(path, *values):
            with Socket(daemon) as client:
                client.send(request(path, [("Origin", value) for value in values], host="localhost:9001"))
                return client.head()[0]

        for name, (_, right, wrong) in ORIGINS.items():
            equal(status(f"/{name}"), 101, f"{name}, without an origin")
            for origin in right:
                equal(status(f"/{name}", origin), 101, f"{name}: {origin}")
            for origin in wrong:
                equal(status(f"/{name}", origin), 403, f"{name}: {origin}")
                refused += 1
        for values in (["https://example.com", "https://evil.test"], ["https://evil.test", "https://example.com"]):
            assert status("/exact", *values) in (400, 403), values
        eventually(lambda: daemon.logged().count("connection.cause=origin_refused") >= refused, "all are booked")
    routes = "routes: [{path: /, kind: echo, allowed-origins: [same]}]"
    with behind(secured.tls_section(secured.local()), routes) as daemon:
        for origin, expected in [("https://localhost", 101), ("http://localhost", 403), ("https://a.localhost", 403)]:
            with SecureSocket(daemon) as client:
                client.send(request("/", [("Origin", origin)]))
                equal(client.head()[0], expected, origin)


# --- Limits of an address ---------------------------------------------------------------------------------------------


def as_source(number):
    return {"source": f"127.0.0.{number}"}


def as_proxied(number):
    return {"sent": b"PROXY TCP4 192.0.2.%d 192.0.2.1 %d 443\r\n" % (number, 5_000 + number)}


def as_proxied_6(number):
    # The last 64 bits are the customer's own to choose.
    return {"sent": b"PROXY TCP6 2001:db8:0:%d::%x ::1 %d 443\r\n" % (number, os.getpid() & 0xFFFF, 5_000 + number)}


def as_forwarded(number):
    return {"headers": [(X, f"192.0.2.{number}")]}


WAYS = {
    "by the socket's address": ("", as_source),
    "by the PROXY header's": (PROXIED, as_proxied),
    "by the PROXY header's /64": (PROXIED, as_proxied_6),
    "by X-Forwarded-For's": ("forwarded-header: x-forwarded-for\ntrusted-proxies: [127.0.0.1]", as_forwarded),
}


def each_way(check):
    """Runs `check(settings, named)` for each way to tell an address."""
    together(len(WAYS), lambda index: check(*list(WAYS.values())[index]))


def opens(daemon, sent=b"", headers=(), **options):
    client = Socket(daemon, **options)
    client.send(sent + request(headers=headers))
    status, fields = client.head()
    return client, status, fields


@case("the connections of an address: past the limit 429 with Retry-After, others are let in, places come back")
def address_limit():
    def check(settings, named):
        config = f"listeners:\n{listener(settings + chr(10) + 'max-connections-per-address: 3')}"
        with Daemon(listen=(), config=config, log_level="debug") as daemon:
            held = [opens(daemon, **named(number)) for number in range(10, 30) for _ in range(3)]
            equal({status for _, status, _ in held}, {101})
            for number in range(10, 30):
                late, status, fields = opens(daemon, **named(number))
                equal(status, 429)
                assert int(fields["retry-after"]) > 0 and fields["connection"] == "close", fields
                late.close()
            eventually(lambda: daemon.logged().count("connection.cause=address_limit") == 20, "all are booked")
            for client, _, _ in held[::3]:
                client.close()
            for number in range(10, 30):

                def has_room():
                    client, status, _ = opens(daemon, **named(number))
                    client.close()
                    return status == 101

                eventually(has_room, f"room again for {number}")
            for client, _, _ in held:
                client.close()

    each_way(check)


@case("how often an address connects: past the burst 429, others are let in, and it is again in a while")
def address_rate():
    def check(settings, named):
        limits = "max-connect-rate-per-address: 1\nconnect-burst-per-address: 3"
        config = f"listeners:\n{listener(settings + chr(10) + limits)}"
        with Daemon(listen=(), config=config, log_level="debug") as daemon:

            def is_open(number):
                client, status, fields = opens(daemon, **named(number))
                client.close()
                assert status == 101 or status == 429 and int(fields["retry-after"]) > 0, (status, fields)
                return status == 101

            statuses = [is_open(10) for _ in range(12)]
            assert all(statuses[:3]) and not all(statuses), statuses
            for number in range(11, 40):
                assert is_open(number), number
            eventually(lambda: is_open(10), "it is let in again")
            assert "connection.cause=address_rate" in daemon.logged()

    each_way(check)


@case("PROXY and forwarded at once: counted for the client that the last proxy names, and let go for it")
def address_twice():
    settings = PROXIED + "\nforwarded-header: x-forwarded-for\nmax-connections-per-address: 1"
    with behind(settings) as daemon:
        for number in range(4):
            # Who speaks the PROXY protocol is trusted, and speaks for another that is trusted as well.
            sent = b"PROXY TCP4 127.0.0.1 192.0.2.1 %d 443\r\n" % (6_000 + number)
            with Socket(daemon) as client:
                client.send(sent + request(headers=[(X, "192.0.2.77")]))
                equal(client.head()[0], 101, number)
                daemon.claims(client.socket, 0)
                late, status, _ = opens(daemon, sent, [(X, "192.0.2.77")])
                equal(status, 429, number)
                daemon.claims(late.socket, 0)
                late.close()
            eventually(lambda: len(peers(daemon)) >= 2 * number + 3, "both have ended")


# --- Rates of messages ------------------------------------------------------------------------------------------------


def limited(limits, **options):
    lines = "".join(f", {line}" for line in limits)
    routes = f"routes:\n  - {{path: /echo, kind: echo}}\n  - {{path: /limited, kind: echo{lines}}}\n"
    return behind("", routes, **options)


def answered(client, count):
    """So many messages, pings answered meanwhile."""
    found = []
    while len(found) < count:
        opcode, payload = client.receive()
        assert opcode != CLOSE, f"closed: {payload!r}, behind {len(found)} messages"
        if opcode == PING:
            client.send_frame(PONG, payload)
        elif opcode != PONG:
            found.append((opcode, payload))
    return found


@case("rates of messages and of bytes, delayed: nothing lost, in order, in no less time, others not held up")
def delayed():
    limits = [["max-message-rate: 200"], ["max-byte-rate: 20KiB"], ["max-message-rate: 200", "max-byte-rate: 1GiB"]]

    def check(index):
        payloads = [b"%04d" % number + (bytes(100) if index == 1 else b"") for number in range(500)]
        with limited(limits[index]) as daemon, Client(daemon) as other:
            client = Client(daemon, "/limited")
            found = []
            reader = threading.Thread(target=lambda: found.extend(answered(client, 500)), daemon=True)
            start = time.monotonic()
            client.send(b"".join(frame(BINARY, payload) for payload in payloads))
            reader.start()
            for number in range(200):
                other.echo(b"%d" % number)
            assert not found, "the others were held up as well"
            reader.join(DEADLINE)
            equal([payload for _, payload in found], payloads)
            # A second's worth at once, the rest as fast as it may be.
            took = time.monotonic() - start
            assert took > 1.4, f"500 messages in {took} s"
            client.close_properly()

    together(len(limits), check)


@case("rates, delayed: a client that is held up is not taken for dead, one that falls silent behind it is")
def delayed_pings():
    options = {"ping_interval": "200ms", "pong_timeout": "200ms", "close_timeout": "200ms"}
    with limited(["max-message-rate: 50"], **options) as daemon:
        client = Client(daemon, "/limited")
        client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(120)))
        equal([payload for _, payload in answered(client, 120)], [b"%d" % number for number in range(120)])
        while True:  # pings, until it is given up
            opcode, payload = client.receive()
            if opcode == CLOSE:
                break
        equal(payload[:2], close_payload(1001))
        equal(ledger.cause_of(daemon, ledger.port_of(client)), "pong_timeout")
        client.close()


@case("rates, delayed: who is held up is heard when it closes, by itself or in a drain, behind what it has sent")
def delayed_close():
    options = {"close_timeout": "60s", "drain_timeout": "60s", "ping_interval": "0"}
    with limited(["max-message-rate: 2"], **options) as daemon:
        sent = b"".join(frame(TEXT, b"%d" % number) for number in range(4))
        with Client(daemon, "/limited") as client:
            client.send(sent)
            client.send_frame(CLOSE, close_payload(1000))
            equal([payload for _, payload in answered(client, 4)], [b"%d" % number for number in range(4)])
            equal(client.receive_close(), 1000)
            client.ended()
        client = Client(daemon, "/limited")
        client.send(sent * 10)
        equal(client.receive(), (TEXT, b"0"))
        daemon.process.send_signal(signal.SIGTERM)
        while client.receive()[0] != CLOSE:
            pass
        client.send_frame(CLOSE, close_payload(1001))
        client.ended()
        client.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("rates, closed: 1008 behind what was within them, and rate_limited; pings and pongs count as well")
def rate_closed():
    with limited(["max-message-rate: 20", "max-byte-rate: 10KiB", "rate-limit: close"]) as daemon:
        for name, sent, least in [
            ("messages", frame(TEXT, b"a") * 200, 20),
            ("pings", frame(PING, b"a") * 200, 0),
            ("pongs", frame(PONG, b"a") * 200, 0),
            ("bytes", frame(BINARY, bytes(4_000)) * 20, 2),
            ("one large message", frame(BINARY, bytes(200_000)), 0),
        ]:
            with Client(daemon, "/limited") as client:
                with contextlib.suppress(OSError):
                    client.send(sent)
                count = 0
                while (found := client.receive())[0] != CLOSE:
                    count += found[0] in (TEXT, BINARY)
                equal(found[1][:2], close_payload(1008), name)
                assert least <= count < 100, (name, count)
                port = ledger.port_of(client)
            equal(ledger.cause_of(daemon, port), "rate_limited", name)
