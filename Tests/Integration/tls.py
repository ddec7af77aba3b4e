"""TLS as users meet it: versions, names, client certificates, resumption, reload, and messages through it."""

import re
import signal
import ssl
import struct
import subprocess

import certificates
import ledger
import secured
from harness import *
from secured import SecureClient, SecureSocket, tls

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def fails(daemon, context_of=None, name="localhost"):
    """A handshake, or the first read behind it, that fails; why, and with which cause of the daemon's."""
    try:
        with SecureSocket(daemon, context_of, name) as client:
            client.send(request())
            client.more()
            raise SystemError(f"it was let in: {client.buffer[:80]!r}")
    except (ssl.SSLError, OSError, Ended) as error:
        why = f"{error!r}"
    return why


def refusals(daemon):
    """What the log says of each handshake that failed, but for the clients that left by themselves."""
    found = re.findall(r'connection\.cause=tls_failed .*?connection\.detail="(.*?)" connection\.peer', daemon.logged())
    return [detail for detail in found if "the peer ended the connection" not in detail]


def command(*arguments, given=None, is_ok=True):
    done = subprocess.run(arguments, input=given, capture_output=True, timeout=DEADLINE)
    assert not is_ok or done.returncode == 0, f"{arguments}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return (done.stdout + done.stderr).decode(errors="replace")


def s_client(daemon, *options, given=b"", is_ok=True):
    """What `openssl s_client` says."""
    host = [] if "-noservername" in options or "-servername" in options else ["-servername", "localhost"]
    roots = ["-CAfile", certificates.authority(), "-verify_return_error"]
    return command(
        "openssl", "s_client", "-connect", daemon.address, *host, *roots, *options, given=given, is_ok=is_ok
    )


@contextlib.contextmanager
def by_commands(*shown, **options):
    """A daemon whose clients are commands: who came from which port is not known."""
    section = secured.tls_section(*(shown or [secured.local()]), **options)
    with Daemon(listen=(), config=f"listeners:\n{secured.listener(section)}", log_level="debug") as daemon:
        yield daemon


# --- Versions and clients ---------------------------------------------------------------------------------------------


@case("TLS 1.2 and 1.3: echoes of every size, both key types, each cipher suite of ours")
def versions():
    chains = [certificates.certificate("localhost"), certificates.certificate("rsa", "DNS:localhost", kind="RSA")]
    suites = [f"ECDHE-{key}-{rest}" for key in ("ECDSA", "RSA")
              for rest in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]  # fmt: skip
    with tls(*chains) as daemon:
        contexts = [secured.context(version) for version in VERSIONS]
        contexts += [secured.context(VERSIONS[0], ciphers=suite) for suite in suites]
        for number, context_of in enumerate(contexts):
            with SecureClient(daemon, context_of) as client:
                if number < 2:
                    equal(client.socket.version(), ["TLSv1.2", "TLSv1.3"][number])
                    for size in (0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 300_000):
                        client.echo(os.urandom(size), BINARY)
                else:
                    equal(client.socket.cipher()[0], suites[number - 2])
                    client.echo(bytes(20_000), BINARY)
                equal(client.socket.compression(), None)
                client.close_properly()


@case("TLS: curl and openssl s_client verify the chain with its intermediate and get an answer")
def commands():
    with by_commands() as daemon:
        for version in (["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]):
            port = daemon.address.rsplit(":", 1)[1]
            for options in ([], ["--http1.1"]):
                url = f"https://localhost:{port}/health"
                said = command("curl", "-sS", "--noproxy", "*", "--ipv4", "--cacert", certificates.authority(),
                               *version, *options, url)  # fmt: skip
                equal(said, "ok\n")
        for version in ("-tls1_2", "-tls1_3"):
            said = s_client(daemon, version, "-quiet", "-no_ign_eof", given=b"Q\n")
            assert "verify return:1" in said and "error" not in said.replace("verify error:num=0", ""), said
            said = s_client(daemon, version, "-showcerts", given=b"Q\n")
            equal(said.count("BEGIN CERTIFICATE"), 2, "certificates in the chain")
            assert "Verify return code: 0 (ok)" in said, said
            assert "Compression: NONE" in said or version == "-tls1_3", said
        # Whoever does not know the root is not told that all is well.
        assert command("curl", "-sS", "--noproxy", "*", url, is_ok=False).startswith("curl: (60)")


@case("TLS: ALPN: http/1.1 is chosen wherever it stands, h2 alone is refused, nothing is chosen from nothing")
def protocols():
    with tls() as daemon:
        for offered, chosen in [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (None, None)]:
            with SecureClient(daemon, secured.context(alpn=offered)) as client:
                equal(client.socket.selected_alpn_protocol(), chosen)
                client.echo()
        for version in VERSIONS:
            for offered in (["h2"], ["h2", "http/1.0"], ["http/1.11"]):
                why = fails(daemon, secured.context(version, alpn=offered))
                assert "no application protocol" in why, (version, offered, why)
        eventually(lambda: len(refusals(daemon)) == 6, "six have failed")
        equal(set(refusals(daemon)), {"the client does not offer http/1.1 (RFC 7301 §3.2)"})


# --- Names ------------------------------------------------------------------------------------------------------------


def three():
    return [
        certificates.certificate("first", "DNS:localhost,IP:127.0.0.1"),
        certificates.certificate("second", "DNS:one.example.com,DNS:EXAMPLE.org"),
        certificates.certificate("third", "DNS:*.example.com"),
    ]


def shown_for(daemon, name, version):
    context_of = secured.context(version)
    context_of.check_hostname = False
    with SecureClient(daemon, context_of, name) as client:
        client.echo()
        return client.shown()


@case("TLS: the certificate is that of the name asked for: exact, wildcard, in any case; else the first")
def names():
    first, second, third = map(certificates.fingerprint, three())
    with tls(*three()) as daemon:
        for version in VERSIONS:
            for name, expected in {
                "localhost": first,
                "one.example.com": second,
                "ONE.Example.COM": second,
                "example.org": second,
                "two.example.com": third,
                "a.two.example.com": first,
                "example.com": first,
                "other.test": first,
                None: first,
            }.items():
                equal(shown_for(daemon, name, version), expected, name)


@case("TLS: with require-server-name, clients that ask for no name or an unknown one are refused")
def names_required():
    first, _, third = map(certificates.fingerprint, three())
    section = secured.tls_section(*three(), require_server_name="yes")
    with secured.behind(section) as daemon:
        for version in VERSIONS:
            equal(shown_for(daemon, "localhost", version), first)
            equal(shown_for(daemon, "two.example.com", version), third)
            for name in (None, "other.test", "a.two.example.com"):
                context_of = secured.context(version)
                context_of.check_hostname = False
                why = fails(daemon, context_of, name)
                assert "UNRECOGNIZED_NAME" in why, (version, name, why)
        eventually(lambda: len(refusals(daemon)) == 6, "six have failed")
        assert all("asks for" in detail for detail in refusals(daemon)), refusals(daemon)


# --- Certificates of clients ------------------------------------------------------------------------------------------


@case("TLS: clients' certificates: none, optional, required × none, valid, another authority's, expired")
def client_certificates():
    shown = {
        "none": None,
        "valid": certificates.certificate("client", ""),
        "foreign": certificates.certificate("foreign", "", "stranger"),
        "expired": certificates.certificate("expired", "", "root", -1),
    }
    let_in = {"none": {"none", "valid", "foreign", "expired"}, "optional": {"none", "valid"}, "required": {"valid"}}

    def check(index):
        rule, allowed = list(let_in.items())[index]
        options = {} if rule == "none" else {"client_ca": certificates.authority()}
        section = secured.tls_section(secured.local(), client_certificates=rule, **options)
        with secured.behind(section) as daemon:
            for version in VERSIONS:
                for kind, certificate in shown.items():
                    context_of = secured.context(version, certificate)
                    if kind in allowed:
                        with SecureClient(daemon, context_of) as client:
                            client.echo()
                            client.close_properly()
                    else:
                        fails(daemon, context_of)
            refused = 2 * (len(shown) - len(allowed))
            eventually(lambda: len(refusals(daemon)) == refused, f"{rule}: {refused} have failed")
            said = "\n".join(refusals(daemon))
            if rule == "required":
                assert "the client showed no certificate, and one is required" in said
            if rule != "none":
                assert "certificate has expired (CN=expired)" in said and "(CN=stranger-intermediate)" in said, said

    together(3, check)


# --- Resumption -------------------------------------------------------------------------------------------------------


def resumes(daemon, context_of):
    """A session of one connection is that of the next, and of the one after."""
    session = None
    for number in range(3):
        with SecureClient(daemon, context_of, session=session) as client:
            client.echo()  # the ticket of TLS 1.3 has come with it
            equal(client.socket.session_reused, number > 0)
            session = client.socket.session
            client.close_properly()
    return session


def reload(daemon, what="certificates reloaded"):
    count = daemon.logged().count(what)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.logged().count(what) == count + 1, f"{what}; it said: {daemon.said()}")


@case("TLS: sessions are resumed, in both versions, by Python and s_client, also after a reload")
def resumption():
    with tls() as daemon:
        for version in VERSIONS:
            context_of = secured.context(version)
            session = resumes(daemon, context_of)
            reload(daemon)
            with SecureClient(daemon, context_of, session=session) as client:
                client.echo()
                assert client.socket.session_reused, f"{version}: not after a reload"
        samples = SecureSocket(daemon)
        samples.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        _, fields = samples.head()
        equal(fields["content-type"].split(";")[0], "text/plain")
        samples.take(int(fields["content-length"]))
        samples.ended()
        samples.close()
    with by_commands() as daemon:
        file = certificates.path("session")
        for version in ("-tls1_2", "-tls1_3"):
            given = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            said = s_client(daemon, version, "-sess_out", file, "-ign_eof", given=given)
            assert "New, TLSv1" in said and "200 OK" in said, said
            said = s_client(daemon, version, "-sess_in", file, "-ign_eof", given=given)
            assert "Reused, TLSv1" in said and "200 OK" in said, said
        said = s_client(daemon, "-tls1_2", "-reconnect", given=b"Q\n")
        equal((said.count("New, TLSv1"), said.count("Reused, TLSv1")), (1, 5))


# --- Reload -----------------------------------------------------------------------------------------------------------


def place(certificate, chain, key):
    """Puts a certificate where the daemon reads it, as certbot does: each file changes at once."""
    for source, target in [(certificate.chain, chain), (certificate.key, key)]:
        with open(source) as file:
            certificates.write(os.path.basename(target) + ".fresh", file.read())
        os.replace(target + ".fresh", target)


@case("TLS: SIGHUP: new connections get the new certificate, open ones go on, broken files change nothing")
def reloads():
    old, fresh = secured.local(), certificates.certificate("fresh", "DNS:localhost")
    live = certificates.Certificate(certificates.path("live.pem"), certificates.path("live.pem.key"))
    place(old, *live)
    with tls(live) as daemon:
        stop, counts = threading.Event(), [0, 0]

        def stream(index):
            with SecureClient(daemon, secured.context(VERSIONS[index])) as client:
                while not stop.is_set():
                    client.echo(b"%d" % counts[index] * 200)
                    counts[index] += 1
                client.close_properly()

        def change(_):
            def shown():
                with SecureClient(daemon) as client:
                    return client.shown()

            equal(shown(), certificates.fingerprint(old))
            for certificate in (fresh, old, fresh):
                before = list(counts)
                place(certificate, *live)
                reload(daemon)
                equal(shown(), certificates.fingerprint(certificate))
                eventually(lambda: all(now > then for now, then in zip(counts, before)), "the streams went on")
            for broken in ("", "no PEM at all", certificates.read("fresh-chain.pem")[:400]):
                for path in live:
                    with open(path) as file:
                        right = file.read()
                    certificates.write(os.path.basename(path), broken)
                    reload(daemon, "the old certificates stay")
                    error = [line for line in daemon.logged().splitlines() if "the old certificates stay" in line][-1]
                    assert "level=error" in error and path in error, error
                    equal(shown(), certificates.fingerprint(fresh))
                    certificates.write(os.path.basename(path), right)
            os.remove(live.chain)
            reload(daemon, "the old certificates stay")
            equal(shown(), certificates.fingerprint(fresh))
            place(old, *live)
            reload(daemon)
            equal(shown(), certificates.fingerprint(old))

        def run(index):
            if index < 2:
                return stream(index)
            try:
                change(index)
            finally:
                stop.set()

        together(3, run)


@case("TLS: paths that are wrong end the start: the file and what to do in a sentence, and no listening")
def wrong_paths():
    right, other = secured.local(), certificates.certificate("other", "DNS:other")
    empty = certificates.write("empty.pem", "")
    cases = [
        (right._replace(chain="/nowhere/chain.pem"), "/nowhere/chain.pem"),
        (right._replace(key="/nowhere/key.pem"), "/nowhere/key.pem"),
        (right._replace(chain=certificates.folder()), certificates.folder()),
        (right._replace(chain=empty), empty),
        (right._replace(key=right.chain), right.chain),
        (right._replace(chain=right.key), right.key),
        (right._replace(key=other.key), other.key),
    ]
    for certificate, named in cases:
        config = certificates.write("wrong.yaml", f"listeners:\n{secured.listener(secured.tls_section(certificate))}")
        for verb in ("serve", "check"):
            arguments = [binary(), verb, "--config", config]
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=DEADLINE)
            assert done.returncode not in (0, 75) and done.returncode > 0, (certificate, done)
            assert named in done.stderr and "listening on" not in done.stdout, (certificate, done.stderr)
            assert all(line.startswith("roost: ") for line in done.stderr.splitlines()), done.stderr


# --- What goes through it ---------------------------------------------------------------------------------------------


@case("TLS: 16 MiB there and back, whole and in fragments, in both versions")
def large():
    with tls(top="max-message-bytes: 16MiB\nmax-outbound-bytes: 64MiB\n", ping_interval="0") as daemon:

        def check(index):
            payload = os.urandom(1 << 20) * 16
            with SecureClient(daemon, secured.context(VERSIONS[index])) as client:
                whole = frame(BINARY, payload)
                pieces = [payload[at : at + (1 << 20)] for at in range(0, len(payload), 1 << 20)]
                fragments = b"".join(
                    frame(CONTINUATION if number else BINARY, piece, fin=number == 15)
                    for number, piece in enumerate(pieces)
                )
                for sent in (whole, fragments):
                    client.send(sent)
                    client.expect(BINARY, payload)
                client.close_properly()

        together(2, check)


@case("TLS: a slow reader, policy close: whole messages, then 1008; memory is bounded")
def slow_closed():
    with tls(close_timeout="10s", ping_interval="0") as daemon:
        clients = [SecureClient(daemon, receive_buffer=4_096) for _ in range(4)]
        before = daemon.rss()

        def flood(index):
            with contextlib.suppress(OSError):
                for number in range(160):
                    clients[index].send_frame(BINARY, struct.pack(">I", number) * 16_384)

        together(4, flood)
        assert daemon.rss() - before < 32 << 20, f"grew by {daemon.rss() - before}"

        def read(index):
            client, number = clients[index], 0
            while True:
                opcode, payload = client.receive()
                if opcode == CLOSE:
                    break
                equal((opcode, payload), (BINARY, struct.pack(">I", number) * 16_384))
                number += 1
            equal(payload[:2], close_payload(1008))
            assert number > 0, "nothing came before the close"
            with contextlib.suppress(OSError):
                client.send_frame(CLOSE, payload[:2])
            client.ended()
            client.close()

        together(4, read)


@case("TLS: a slow reader, policy drop-oldest: whole frames in order, the newest kept, memory bounded")
def slow_dropped():
    with tls(slow_consumer="drop-oldest", max_outbound_bytes="256KiB") as daemon:
        with SecureClient(daemon, receive_buffer=4_096) as client:
            before = daemon.rss()
            count = 4_000
            for number in range(count):
                client.send_frame(BINARY, struct.pack(">I", number) * 1_024)
            client.send_frame(PING, b"last")
            assert daemon.rss() - before < 16 << 20, f"grew by {daemon.rss() - before}"
            numbers, pong = [], False
            while not (pong and numbers and numbers[-1] == count - 1):
                opcode, payload = client.receive()
                if opcode == PONG:
                    equal(payload, b"last")
                    pong = True
                    continue
                number = struct.unpack(">I", payload[:4])[0]
                equal((opcode, payload), (BINARY, struct.pack(">I", number) * 1_024))
                numbers.append(number)
            equal(numbers, sorted(set(numbers)))
            assert len(numbers) < count, "nothing was dropped"
            client.echo(b"and on")
            client.close_properly()


@case("TLS: a thousand that open at once and stay idle; all answer; memory comes back")
def many():
    with tls(ping_interval="0", handshake_timeout="60s") as daemon:
        context_of = secured.context()
        before = daemon.rss()
        clients = [None] * 1_000

        def open_some(part):
            for index in range(part, len(clients), 16):
                clients[index] = SecureClient(daemon, context_of)

        together(16, open_some)
        held = daemon.rss() - before
        assert held < 1_000 * 100_000, f"{held} bytes for 1,000"
        for index, client in enumerate(clients):
            client.echo(b"%d" % index)
        for client in clients:
            client.close()
        eventually(lambda: sum(map(len, ledger.ends(daemon).values())) > 1_000, "all have ended")
        eventually(lambda: daemon.rss() - before < max(held // 2, 24 << 20), f"of {held} bytes half came back")


@case("TLS: drain: 1001 through TLS, close_notify behind it, nobody new, exit code 0")
def drains():
    with tls() as daemon:
        # First, so that the daemon, too, is through with its handshake when it is told to drain.
        idle = SecureSocket(daemon)
        clients = [SecureClient(daemon, secured.context(version)) for version in VERSIONS for _ in range(20)]
        daemon.process.send_signal(signal.SIGTERM)
        for client in clients:
            equal(client.receive_close(), 1001)
            client.send_frame(CLOSE, close_payload(1001))
            client.ended()
            client.close()
        status, _, _ = idle.answer()
        equal(status, 503)
        idle.close()
        equal(daemon.process.wait(DEADLINE), 0)


@case("TLS: a handler that crashes is restarted within the same TLS session")
def crash():
    with tls(restart_intensity=100, log_level="debug") as daemon:
        for version in VERSIONS:
            for path in ("/demo/throw", "/demo/trap/index", "/demo/deep"):
                with SecureClient(daemon, secured.context(version), path=path) as client:
                    for number in range(3):
                        client.echo(b"before %d" % number)
                        client.send(frame(TEXT, b"go") + frame(TEXT, b"behind it"))
                        client.expect(TEXT, b"behind it")
                        client.echo(os.urandom(40_000), BINARY)
                    client.close_properly()
