"""Hostile peers over TLS: old versions, weak suites, renegotiation, broken records, floods, half-closed streams."""

import ctypes
import ctypes.util
import functools
import signal
import ssl
import struct

import certificates
import ledger
import secured
from harness import *
from hostile_ends import read_to_end
from secured import SecureClient, tls

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ALERT, HANDSHAKE, DATA = 21, 22, 23
FATAL = 2
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
PROTOCOL_VERSION, HANDSHAKE_FAILURE, INAPPROPRIATE_FALLBACK = 70, 40, 86


def record(kind, body, version=0x0303):
    return struct.pack(">BHH", kind, version, len(body)) + body


def sized(width, data):
    return len(data).to_bytes(width, "big") + data


def extension(number, body):
    return struct.pack(">H", number) + sized(2, body)


def hello(version=0x0303, suites=(0xC02B, 0xC02F), compression=b"\0", more=b"", versions=None):
    """A ClientHello, as no library of today writes it."""
    extensions = extension(10, sized(2, b"\x00\x17\x00\x1d")) + extension(11, b"\x01\x00") + more
    extensions += extension(13, sized(2, b"\x04\x03\x08\x04\x04\x01\x02\x03\x02\x01"))
    if versions:
        extensions += extension(43, sized(1, b"".join(struct.pack(">H", one) for one in versions)))
    body = struct.pack(">H", version) + bytes(range(32)) + b"\0"
    body += sized(2, b"".join(struct.pack(">H", suite) for suite in suites)) + sized(1, compression)
    if version > 0x0300:
        body += sized(2, extensions)
    return record(HANDSHAKE, b"\x01" + sized(3, body), min(version, 0x0301))


def records(data):
    """What came, as (kind, body)."""
    while len(data) >= 5:
        size = int.from_bytes(data[3:5], "big")
        yield data[0], data[5 : 5 + size]
        data = data[5 + size :]


def answers(daemon, sent):
    """The records that a server answers with until it ends the stream, and the cause that is booked."""
    with Socket(daemon) as client:
        with contextlib.suppress(OSError):
            client.send(sent)
        got = list(records(read_to_end(client)))
        port = ledger.port_of(client)
    return got, ledger.cause_of(daemon, port)


def both():
    """Keys of both kinds, so that no suite is refused for want of a key."""
    return [certificates.certificate("localhost"), certificates.certificate("rsa", "DNS:localhost", kind="RSA")]


@case("TLS: SSL 3, TLS 1.0 and 1.1 are refused, by an alert that says so, whatever suites come along")
def old_versions():
    suites = [0xC013, 0xC014, 0xC009, 0xC00A, 0x002F, 0x0035, 0x000A, 0xC02B, 0xC02F]
    with tls(*both()) as daemon:
        for sent, alert in [
            (hello(0x0300, suites), HANDSHAKE_FAILURE),  # SSL 3 has no other
            (hello(0x0301, suites), PROTOCOL_VERSION),
            (hello(0x0302, suites), PROTOCOL_VERSION),
            (hello(0x0303, suites, versions=[0x0302, 0x0301, 0x0300]), PROTOCOL_VERSION),
            (hello(0x0303, suites, versions=[0x7F1C]), PROTOCOL_VERSION),
            # RFC 7507: who says that it falls back has met somebody in the middle.
            (hello(0x0303, [*suites, 0x5600]), INAPPROPRIATE_FALLBACK),
        ]:
            got, cause = answers(daemon, sent)
            equal((got, cause), ([(ALERT, bytes([FATAL, alert]))], "tls_failed"), sent[:16])
        with SecureClient(daemon, secured.context(VERSIONS[0])) as client:
            client.echo()


# RFC 5246's and later registrations, none with forward secrecy and AEAD: what testssl and its like look for.
WEAK = {
    "NULL": [0x0001, 0x0002, 0x003B, 0xC006, 0xC010],
    "anonymous": [0x0018, 0x001B, 0x0034, 0x003A, 0x006C, 0x00A6, 0xC018, 0xC019],
    "export": [0x0003, 0x0006, 0x0008, 0x0014, 0x0060, 0x0062, 0x0064],
    "DES, 3DES (SWEET32), IDEA": [0x0009, 0x000A, 0x0007, 0x0016, 0xC008, 0xC012],
    "RC4": [0x0004, 0x0005, 0xC007, 0xC011],
    "RSA key exchange (ROBOT)": [0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0xC09C],
    "CBC (LUCKY13)": [0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028],
    "DHE": [0x0033, 0x0039, 0x0067, 0x009E, 0x009F, 0xCCAA],
    "static ECDH": [0xC004, 0xC00E, 0xC02D, 0xC031],
    "PSK, SRP, Camellia, ARIA, SEED": [0x008C, 0x00A8, 0xC01A, 0x0041, 0xC076, 0xC05C, 0x0096],
    "nothing that there is": [0x0000, 0xFFFF],
}


@case("TLS: suites without forward secrecy or AEAD are refused, family by family, and each by itself")
def weak_suites():
    with tls(*both()) as daemon:
        for name, suites in WEAK.items():
            for offered in [suites, *([suite] for suite in suites)]:
                got, cause = answers(daemon, hello(suites=offered))
                equal((got, cause), ([(ALERT, bytes([FATAL, HANDSHAKE_FAILURE]))], "tls_failed"), (name, offered))
        # The probe itself is right: with a suite of ours it gets a ServerHello.
        with Socket(daemon) as client:
            client.send(hello())
            while len(client.buffer) < 48:
                client.more()
            equal((client.buffer[0], client.buffer[5]), (HANDSHAKE, 2))
            size = client.buffer[43]
            equal(client.buffer[46 + size], 0, "the compression that was chosen")


@case("TLS: compression is not agreed to (CRIME), a hello without the null method is refused")
def compression():
    with tls(*both()) as daemon:
        with Socket(daemon) as client:
            client.send(hello(compression=b"\x01\x00"))
            while len(client.buffer) < 48:
                client.more()
            equal(client.buffer[46 + client.buffer[43]], 0, "the compression that was chosen")
        got, cause = answers(daemon, hello(compression=b"\x01"))
        equal((got[0][0], cause), (ALERT, "tls_failed"))


@case("TLS: a heartbeat (CVE-2014-0160) is answered with no byte of memory")
def heartbeat():
    with tls(*both()) as daemon:
        beat = record(24, b"\x01\x40\x00")
        for sent in (beat, hello(more=extension(15, b"\x01")) + beat):
            got, cause = answers(daemon, sent)
            assert all(kind in (ALERT, HANDSHAKE) for kind, _ in got), got
            equal(cause, "tls_failed")


# --- OpenSSL's library itself, for what Python does not do ------------------------------------------------------------


@functools.cache
def library():
    found = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    for name, result, *arguments in [
        ("TLS_client_method", ctypes.c_void_p),
        ("SSL_CTX_new", ctypes.c_void_p, ctypes.c_void_p),
        ("SSL_CTX_free", None, ctypes.c_void_p),
        ("SSL_CTX_ctrl", ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
        ("SSL_new", ctypes.c_void_p, ctypes.c_void_p),
        ("SSL_free", None, ctypes.c_void_p),
        ("SSL_set_fd", ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
        ("SSL_connect", ctypes.c_int, ctypes.c_void_p),
        ("SSL_do_handshake", ctypes.c_int, ctypes.c_void_p),
        ("SSL_renegotiate", ctypes.c_int, ctypes.c_void_p),
        ("SSL_key_update", ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
        ("SSL_write", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
        ("SSL_read", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int),
    ]:
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


class Library:
    """A client made of libssl's own calls. It trusts anybody: what is tested is the server."""

    SET_MAX_VERSION = 124

    def __init__(self, daemon, version):
        self.socket = Socket(daemon)
        self.socket.socket.settimeout(None)  # libssl reads a blocking descriptor
        self.context = library().SSL_CTX_new(library().TLS_client_method())
        library().SSL_CTX_ctrl(self.context, self.SET_MAX_VERSION, version, None)
        self.ssl = library().SSL_new(self.context)
        library().SSL_set_fd(self.ssl, self.socket.socket.fileno())
        equal(library().SSL_connect(self.ssl), 1, "SSL_connect")
        self.port = ledger.port_of(self.socket)

    def write(self, data):
        return library().SSL_write(self.ssl, data, len(data))

    def read(self):
        buffer = ctypes.create_string_buffer(65_536)
        count = library().SSL_read(self.ssl, buffer, len(buffer))
        return buffer.raw[: max(count, 0)]

    def opens(self):
        self.write(request())
        assert self.read().startswith(b"HTTP/1.1 101 ")

    def echoes(self, payload):
        self.write(frame(TEXT, payload))
        return self.read() == frame(TEXT, payload, key=None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        library().SSL_free(self.ssl)
        library().SSL_CTX_free(self.context)
        self.socket.close()


@case("TLS 1.2: a client that asks for renegotiation gets none (CVE-2011-1473)")
def renegotiation():
    with tls() as daemon, Library(daemon, 0x0303) as client:
        client.opens()
        assert client.echoes(b"before")
        equal(library().SSL_renegotiate(client.ssl), 1)
        # It is told so by an alert, upon which OpenSSL's client gives up.
        assert library().SSL_do_handshake(client.ssl) != 1, "it was agreed to"
        client.socket.close()
        equal(ledger.cause_of(daemon, client.port), "connection_lost")


@case("TLS 1.3: updates of keys, asked for and not, between messages: nothing is lost")
def key_updates():
    with tls() as daemon, Library(daemon, 0x0304) as client:
        client.opens()
        for number in range(60):
            equal(library().SSL_key_update(client.ssl, number % 2), 1)
            assert client.echoes(b"message %d" % number), number


@case("TLS 1.3: updates of keys without end, and nothing else, are no conversation: the connection ends")
def key_update_flood():
    with tls() as daemon, SecureClient(daemon) as other, Library(daemon, 0x0304) as client:
        client.opens()

        def flood():
            for _ in range(100_000):
                if library().SSL_key_update(client.ssl, 0) != 1 or library().SSL_do_handshake(client.ssl) != 1:
                    break

        # Held back at first, so that it meets many in one go.
        daemon.process.send_signal(signal.SIGSTOP)
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        thread.join(1)
        daemon.process.send_signal(signal.SIGCONT)
        other.echo(b"meanwhile")
        equal(ledger.cause_of(daemon, client.port), "connection_lost")
        assert "messages without data" in daemon.logged(), daemon.said()
        thread.join(DEADLINE)
        assert not thread.is_alive(), "it was listened to for ever"


# --- Broken records ---------------------------------------------------------------------------------------------------


class Engine:
    """A client whose records can be looked at and changed before they leave."""

    def __init__(self, daemon, version):
        self.socket = Socket(daemon)
        self.port = ledger.port_of(self.socket)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.engine = secured.context(version).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.got = b""
        self.step(self.engine.do_handshake)

    def opens(self):
        self.send(self.sealed(request()))
        assert self.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        return self

    def until(self, mark):
        """What comes, up to `mark`."""
        while mark not in self.got:
            data = self.step(lambda: self.engine.read(65_536))
            if not data:
                raise Ended
            self.got += data
        end = self.got.index(mark) + len(mark)
        found, self.got = self.got[:end], self.got[end:]
        return found

    def end_writing(self):
        """Sends a close_notify, and goes on reading."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.engine.unwrap()
        self.send(self.outgoing.read())

    def ends(self):
        """The server's close_notify comes, and the end behind it."""
        try:
            found = self.until(b"\0no such thing")
            raise AssertionError(f"expected the end, found {found[:100]!r}")
        except (Ended, ssl.SSLZeroReturnError):
            self.socket.ended()

    def step(self, body):
        while True:
            try:
                return body()
            except ssl.SSLWantReadError:
                self.send(self.outgoing.read())
                self.incoming.write(self.take())
            finally:
                self.send(self.outgoing.read())

    def sealed(self, data):
        """The records of `data`, not sent."""
        self.engine.write(data)
        return self.outgoing.read()

    def send(self, data):
        if data:
            self.socket.send(data)

    def take(self):
        self.socket.more()
        data, self.socket.buffer = self.socket.buffer, b""
        return data

    def echo(self, payload, sent):
        """Sends `sent`, pieces of records; `payload` must come back."""
        for piece in sent:
            self.send(piece)
        expected = frame(BINARY, payload, key=None)
        equal(self.until(expected), expected)


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@case("TLS: records cut anywhere, many in a packet, one byte in each: all is read")
def split_records():
    with tls() as daemon:
        for version in VERSIONS:
            client = Engine(daemon, version).opens()
            sent = client.sealed(frame(BINARY, b"one"))
            client.echo(b"one", [sent[at : at + 1] for at in range(len(sent))])
            payload = os.urandom(300)
            whole = frame(BINARY, payload)
            client.echo(payload, [b"".join(client.sealed(whole[at : at + 1]) for at in range(len(whole)))])
            for at in range(1, len(sent), 3):
                payload = b"%d" % at
                sealed = client.sealed(frame(BINARY, payload))
                client.echo(payload, [sealed[:at], sealed[at:]])
            client.socket.close()


@case("TLS: a record whose MAC is wrong at any byte ends the connection, and is not handled")
def wrong_macs():
    with tls() as daemon:
        for version in VERSIONS:
            client = Engine(daemon, version).opens()
            size = len(client.sealed(frame(TEXT, b"no")))
            client.socket.close()

            def check(part):
                for at in range(part, size, 8):
                    client = Engine(daemon, version).opens()
                    sent = client.sealed(frame(TEXT, b"no"))
                    # A length that is too large by some is waited for; the end tells that nothing comes.
                    client.send(flip(sent, at))
                    client.socket.socket.shutdown(socket.SHUT_WR)
                    got = read_to_end(client.socket)
                    port = client.port
                    client.socket.close()
                    equal(ledger.cause_of(daemon, port), "connection_lost", at)
                    client.incoming.write(got)
                    with contextlib.suppress(ssl.SSLError):
                        assert frame(TEXT, b"no", key=None) not in client.engine.read(65_536), at

            together(8, check)


BROKEN = {
    "noise": bytes(number * 167 + 13 & 0xFF for number in range(2_000)),
    "a record of 2^14 + 257": record(DATA, bytes(16_384 + 257)),
    "a record of 65535": record(DATA, bytes(65_535)),
    "an empty record of data": record(DATA, b""),
    "a record shorter than its MAC": record(DATA, bytes(8)),
    "a record of an unknown kind": record(99, bytes(32)),
    "a handshake in the clear": hello(),
    "an alert in the clear": record(ALERT, b"\x02\x28"),
    "change_cipher_spec of two bytes": record(20, b"\x01\x01"),
    "HTTP": request(),
    "SSL 2": b"\x80\x2e\x01\x00\x02" + bytes(44),
}


@case("TLS: records that are none, behind a handshake and before it: the end, one cause, nobody else notices")
def broken_records():
    with tls() as daemon:
        for version in VERSIONS:
            with SecureClient(daemon) as other:
                for name, sent in BROKEN.items():
                    client = Engine(daemon, version).opens()
                    with contextlib.suppress(OSError):
                        client.send(sent)
                        client.socket.socket.shutdown(socket.SHUT_WR)
                    read_to_end(client.socket)
                    client.socket.close()
                    equal(ledger.cause_of(daemon, client.port), "connection_lost", name)
                    other.echo(name.encode())
        for name, sent in BROKEN.items():
            if name != "a handshake in the clear":
                equal(answers(daemon, sent + bytes(20_000))[1], "tls_failed", name)


@case("TLS: a record that is cut short by the end, a reset, or by nothing more: lost, cut, given up by pings")
def truncated_records():
    with tls(ping_interval="300ms", pong_timeout="300ms", close_timeout="300ms") as daemon:
        for version in VERSIONS:
            for ends in (Socket.close, Socket.reset, lambda client: client.socket.shutdown(socket.SHUT_WR), None):
                client = Engine(daemon, version).opens()
                client.send(client.sealed(frame(BINARY, bytes(5_000)))[:-7])
                if ends:
                    ends(client.socket)
                cause = ledger.cause_of(daemon, client.port)
                equal(cause, "connection_lost" if ends else "pong_timeout")
                client.socket.close()


@case("TLS: floods before the handshake: warnings, empty records, change_cipher_spec, fragments of a hello")
def floods():
    first = hello()
    body = first[5:]
    with tls(handshake_timeout="2s") as daemon:
        before = daemon.rss()
        for name, sent in {
            "warnings": record(ALERT, b"\x01\x5a") * 50_000,
            "warnings behind a hello": hello() + record(ALERT, b"\x01\x5a") * 50_000,
            "empty records": record(HANDSHAKE, b"") * 50_000,
            "change_cipher_spec": hello(versions=[0x0304]) + record(20, b"\x01") * 50_000,
            "hellos": first * 5_000,
            "a hello that announces 16 MiB": record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(16_000)) * 100,
        }.items():
            ticks = daemon.ticks()
            got, cause = answers(daemon, sent)
            assert cause in {"tls_failed", "tls_timeout"}, (name, cause)
            assert daemon.ticks() - ticks < 100, (name, daemon.ticks() - ticks)
        assert daemon.rss() - before < 16 << 20, f"grew by {daemon.rss() - before}"
        # A hello in records of a byte each is slow, and right.
        with Socket(daemon) as client:
            client.send(b"".join(record(HANDSHAKE, body[at : at + 1]) for at in range(len(body))))
            while len(client.buffer) < 6:
                client.more()
            equal((client.buffer[0], client.buffer[5]), (HANDSHAKE, 2))


# --- Ends -------------------------------------------------------------------------------------------------------------


@case("TLS: HTTP in the clear is told from noise: tls_failed, with what to do in the log")
def clear():
    with tls() as daemon:
        for sent in (request(), HEALTH, b"POST / HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n"):
            equal(answers(daemon, sent)[1], "tls_failed")
        equal(daemon.logged().count("use wss:// or https://"), 4)


@case("TLS: a handshake byte by byte is done within its time, or ends with tls_timeout at each stage")
def byte_by_byte():
    with tls(handshake_timeout="700ms") as daemon:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = secured.context(VERSIONS[0]).wrap_bio(incoming, outgoing, server_hostname="localhost")
        client = Socket(daemon)
        handshake = True
        while handshake:
            try:
                engine.do_handshake()
                handshake = False
            except ssl.SSLWantReadError:
                pass
            for byte in outgoing.read():
                client.send(bytes([byte]))
            if handshake:
                client.more()
                incoming.write(client.buffer)
                client.buffer = b""
        client.close()

        def stalls(index):
            version = VERSIONS[index % 2]
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            engine = secured.context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
            with contextlib.suppress(ssl.SSLWantReadError):
                engine.do_handshake()
            with Socket(daemon) as client:
                sent = outgoing.read()
                if index < 2:
                    client.send(sent[:-1])
                else:
                    client.send(sent)
                    client.more()  # its answer, upon which nothing is said any more
                read_to_end(client)
                port = ledger.port_of(client)
            equal(ledger.cause_of(daemon, port), "tls_timeout")

        together(4, stalls)


@case("TLS: the end of the stream without a close_notify is a loss; what came before it is answered")
def no_close_notify():
    with tls() as daemon:
        for version in VERSIONS:
            with SecureClient(daemon, secured.context(version)) as client:
                client.send_frame(TEXT, b"last words")
                beneath = client.raw()
                beneath.shutdown(socket.SHUT_WR)
                client.expect(TEXT, b"last words")
                client.ended()
                beneath.close()
            equal(ledger.cause_of(daemon, client.local_port), "connection_lost")
            with SecureClient(daemon, secured.context(version)) as client:
                client.close_properly()
            equal(ledger.cause_of(daemon, client.local_port), "client_closed")


@case("TLS: a close_notify behind a request, or a message: the answer comes, then the server's own")
def half_closed():
    with tls() as daemon:
        for version in VERSIONS:
            client = Engine(daemon, version)
            client.send(client.sealed(HEALTH * 3))
            client.end_writing()
            for _ in range(3):
                assert client.until(b"\r\n\r\nok\n").startswith(b"HTTP/1.1 200 ")
            client.ends()
            client.socket.close()
            equal(ledger.cause_of(daemon, client.port), "requests_served")
            client = Engine(daemon, version).opens()
            payload = os.urandom(300_000)
            sealed = client.sealed(frame(BINARY, payload))
            client.send(sealed)
            client.end_writing()
            client.echo(payload, [])
            client.ends()
            client.socket.close()
            equal(ledger.cause_of(daemon, client.port), "connection_lost")
