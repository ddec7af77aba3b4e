"""Hostile peers before the first request: TLS, PROXY headers, limits of an address."""

import socket
import ssl
import struct

import ledger
import secured
from harness import *
from hostile_ends import read_to_end
from secured import SecureClient

LOCAL = {"handshake_timeout": "400ms"}


def behind(settings, **options):
    """A daemon whose listener has `settings`, which waits for nobody for long."""
    return secured.behind(settings, **LOCAL | options)


def cause_of_all_that_send(daemon, sent, cause, what):
    """Sends `sent`, byte by byte and at once, and waits for the end."""
    for pieces in ([sent], [sent[at : at + 1] for at in range(min(len(sent), 64))] + [sent[64:]]):
        with Socket(daemon) as client:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    client.send(piece)
            read_to_end(client)
            port = ledger.port_of(client)
        equal(ledger.cause_of(daemon, port), cause, what)


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls(**options):
    return secured.tls(**LOCAL | options)


def hello():
    """The first bytes of a client, as OpenSSL writes them."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@case("TLS: slow at every byte of the hello: the deadline stands, and the place is free again (Thousand Island)")
def slow_tls():
    first = hello()
    with tls() as daemon:

        def check(index):
            with Socket(daemon) as client:
                client.send(first[: index * len(first) // 20])
                read_to_end(client)
                equal(ledger.cause_of(daemon, ledger.port_of(client)), "tls_timeout")

        together(20, check)
        with Socket(daemon) as client:
            with contextlib.suppress(OSError):
                for byte in first:
                    client.send(bytes([byte]))
                    time.sleep(0.02)  # a slow peer: the waiting is the test
                    if client.has_data():
                        break
            read_to_end(client)
        with SecureClient(daemon) as client:
            client.echo()


@case("TLS: what is no hello, or a broken one, ends the connection")
def no_tls():
    first = hello()
    with tls() as daemon:
        for name, sent in {
            "HTTP": request(),
            "zeros": bytes(1_000),
            "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
            "a record of 65535": b"\x16\x03\x01\xff\xff" + bytes(65_535),
            "SSL 2": b"\x80\x2e\x01\x00\x02" + bytes(44),
            "version 3.9": first[:9] + b"\x03\x09"[::-1] + bytes(len(first) - 11),
            "application data first": b"\x17\x03\x03\x00\x20" + bytes(32),
        }.items():
            cause_of_all_that_send(daemon, sent, "tls_failed", name)
        for index in range(0, len(first), 7):
            broken = first[:index] + bytes([first[index] ^ 0xFF]) + first[index + 1 :]
            with Socket(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(broken)
                    client.socket.shutdown(socket.SHUT_WR)
                read_to_end(client)
                port = ledger.port_of(client)
            cause = ledger.cause_of(daemon, port)
            assert cause in {"tls_failed", "handshake_abandoned"}, (index, cause)
        with SecureClient(daemon) as client:
            client.echo()


@case("TLS: resets and ends at every stage of the handshake and behind it")
def broken_tls():
    first = hello()
    with tls() as daemon:
        for size in range(0, len(first) + 1, 23):
            for breaks in (Socket.reset, Socket.close):
                client = Socket(daemon)
                client.send(first[:size])
                port = ledger.port_of(client)
                breaks(client)
                assert ledger.cause_of(daemon, port) in {"tls_failed", "handshake_abandoned"}, size
        for sent in [b"", frame(TEXT, b"half")[:5], frame(BINARY, bytes(1 << 20))]:
            for breaks in (Socket.reset, Socket.close):
                client = SecureClient(daemon)
                client.send(sent)
                port = ledger.port_of(client)
                breaks(client)
                equal(ledger.cause_of(daemon, port), "connection_lost")


@case("TLS: plain bytes, and a record that was changed on its way, in the middle of a connection")
def tampered_tls():
    with tls() as daemon:
        for record in [frame(TEXT, b"plain"), b"\x17\x03\x03\x00\x40" + bytes(64), b"\x16\x03\x03\x00\x04" + bytes(4)]:
            client = SecureClient(daemon)
            port = ledger.port_of(client)
            raw = socket.socket(fileno=os.dup(client.socket.fileno()))
            raw.setblocking(True)
            raw.sendall(record)
            equal(ledger.cause_of(daemon, port), "connection_lost")
            raw.close()
            client.close()


# --- PROXY ------------------------------------------------------------------------------------------------------------

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(command=0x21, family=0x11, body=None, length=None):
    body = socket.inet_aton("192.0.2.1") * 2 + struct.pack(">HH", 1, 2) if body is None else body
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body) if length is None else length) + body


# What is right, and the port that it says the client has.
PROXY_RIGHT = {
    "version 1": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 1),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n", 65_535),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "version 2": (version_2(), 1),
    "version 2, local": (version_2(0x20, 0x00, b""), None),
    "version 2 with more behind": (version_2(body=bytes(12) + b"\x04\x00\x01a"), 0),
}
PROXY_WRONG = {
    "no header": request(),
    "a line without end": b"PROXY TCP4 " + b"1" * 300,
    "too long by one": b"PROXY UNKNOWN " + b"a" * (108 - 16) + b"\r\n",
    "lower case": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "UDP": b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
    "a port with a sign": b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
    "an address too long": b"PROXY TCP4 192.0.2.1.5 192.0.2.2 1 2\r\n",
    "a number too high": b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
    "the wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "LF alone": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + request(),
    "a field too many": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
    "NUL": b"PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n",
    "a signature that is wrong at its end": SIGNATURE[:-1] + b"\r" + version_2()[12:],
    "version 3": version_2(0x31),
    "an unknown command": version_2(0x2F),
    "an address that is too short": version_2(body=bytes(11)),
    "IPv6 in 12 bytes": version_2(family=0x21),
}


def proxied(**options):
    return behind("proxy-protocol: yes\ntrusted-proxies: [127.0.0.1]", **options)


@case("PROXY: headers that are wrong end the connection, byte by byte or at once; those that are right do not")
def proxy_headers():
    with proxied() as daemon:
        for name, (sent, port) in PROXY_RIGHT.items():
            for size in (1, len(sent)):
                with Socket(daemon) as client:
                    for at in range(0, len(sent), size):
                        client.send(sent[at : at + size])
                    if port is not None:
                        daemon.claims(client.socket, port)
                    client.send(request())
                    equal(client.head()[0], 101, name)
        for name, sent in PROXY_WRONG.items():
            with Socket(daemon) as client:
                with contextlib.suppress(OSError):
                    client.send(sent + request())
                assert b"101 " not in read_to_end(client), name
        # Named by the header, not by the socket: the log tells how often there was which cause.
        causes = [cause for list in ledger.ends(daemon).values() for cause in list]
        eventually(lambda: daemon.logged().count("connection.cause=proxy_refused") == len(PROXY_WRONG), f"{causes}")


@case("PROXY: slow at every byte of both versions: the deadline stands")
def slow_proxies():
    with proxied() as daemon:
        sent = [header[:size] for header, _ in PROXY_RIGHT.values() for size in range(0, len(header), 5)]

        def check(part):
            for header in sent[part::16]:
                with Socket(daemon) as client:
                    client.send(header)
                    read_to_end(client)
                    equal(ledger.cause_of(daemon, ledger.port_of(client)), "proxy_timeout", header)

        together(16, check)


@case("PROXY: a header that announces 64 KiB and never comes holds none of it")
def long_proxies():
    with proxied(handshake_timeout="20s") as daemon:
        grown = daemon.rss()
        clients = [Socket(daemon) for _ in range(100)]
        for client in clients:
            client.send(version_2(body=bytes(100), length=65_535))
        assert daemon.rss() - grown < 16 << 20, f"grew by {daemon.rss() - grown}"
        for client in clients:
            client.close()


# --- Limits of an address ---------------------------------------------------------------------------------------------


@case("an address that holds as many connections as it may gets 429; its places come back, however they were left")
def address_limit():
    with behind("max-connections-per-address: 5") as daemon:
        for leaves in (Socket.close, Socket.reset, lambda client: client.close_properly()):
            # All that came before has gone.
            ledger.each_ended_once(daemon)
            clients = [Client(daemon) for _ in range(5)]
            for _ in range(20):
                with Socket(daemon) as late:
                    late.send(request())
                    status, fields, _ = late.answer()
                    equal(status, 429)
                    assert int(fields["retry-after"]) > 0, fields
                    port = ledger.port_of(late)
                equal(ledger.cause_of(daemon, port), "address_limit")
            for client in clients:
                client.echo()
                leaves(client)

            def has_room():
                with Socket(daemon) as again:
                    again.send(request())
                    return again.head()[0] == 101

            eventually(has_room, "the places came back")


@case("an address that connects too often gets 429, and is let in again later")
def address_rate():
    with behind("max-connect-rate-per-address: 20\nconnect-burst-per-address: 5") as daemon:
        statuses = []

        def once():
            with Socket(daemon) as client:
                client.send(request())
                statuses.append(client.head()[0])
            return statuses[-1] == 101

        for _ in range(50):
            once()
        # One of the five was used up before.
        assert 4 <= statuses.count(101) <= 25 and set(statuses) == {101, 429}, statuses
        eventually(once, "it is let in again")
