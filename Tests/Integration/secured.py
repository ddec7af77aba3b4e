"""Listeners with settings of their own, and clients that speak TLS to them."""

import contextlib
import hashlib
import os
import socket
import ssl

import certificates
import ledger
from harness import Client, Daemon, Ended, Socket, equal, eventually, request


def listener(settings="", routes=""):
    """An element of `listeners`: settings are lines of YAML."""
    lines = [line for line in settings.split("\n") + routes.split("\n") if line]
    return "\n".join(["  - address: 127.0.0.1:0", *("    " + line for line in lines)]) + "\n"


@contextlib.contextmanager
def serving(config, **options):
    """A daemon of that configuration; each connection ends once, and nothing is kept."""
    options = {"handshake_timeout": "5s", "log_level": "debug"} | options
    with Daemon(listen=(), config=config, **options) as daemon:
        # What it opens after it has begun to listen, it has opened when connections have come and gone.
        for address in daemon.addresses:
            Socket(daemon, address).close()
        ledger.each_ended_once(daemon)
        before = daemon.descriptors()
        yield daemon
        if daemon.process.poll() == 0:  # it was drained
            return
        assert daemon.is_alive, f"the daemon ended: {daemon.said()}"
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        ledger.each_ended_once(daemon)


def behind(settings, routes="", top="", **options):
    """A daemon whose one listener has `settings`."""
    return serving(f"{top}listeners:\n{listener(settings, routes)}", **options)


def tls_section(*shown, **settings):
    """The value of `tls`, of these certificates; settings are its keys, with underscores."""
    if len(shown) == 1:
        fields = {"chain": shown[0].chain, "key": shown[0].key}
    else:
        inner = ", ".join(f"{{chain: {one.chain}, key: {one.key}}}" for one in shown)
        fields = {"certificates": f"[{inner}]"}
    fields |= {key.replace("_", "-"): value for key, value in settings.items()}
    return "tls: {" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def local():
    """The certificate of localhost."""
    return certificates.certificate("localhost")


def tls(*shown, top="", routes="", **options):
    """A daemon with one TLS listener, of these certificates or localhost's."""
    return behind(tls_section(*(shown or [local()])), routes, top, **options)


def context(version=None, shows=None, root="root", alpn=None, ciphers=None):
    """A client's context that trusts `root`, for one version of TLS or for all."""
    made = ssl.create_default_context(cafile=certificates.authority(root))
    if version:
        made.minimum_version = made.maximum_version = version
    if shows:
        made.load_cert_chain(shows.chain, shows.key)
    if alpn:
        made.set_alpn_protocols(alpn)
    if ciphers:
        made.set_ciphers(ciphers)
    return made


class SecureSocket(Socket):
    """TLS over a socket; that the stream ends without a close_notify is an error (RFC 8446 §6.1)."""

    def __init__(self, daemon, context_of=None, name="localhost", session=None, first=b"", before=b"", **options):
        """`first` and `before` leave in the clear, as two packets."""
        Socket.__init__(self, daemon, **options)
        if first:
            self.send(first)
        if before:
            self.send(before)
        self.local_port = ledger.port_of(self)
        try:
            self.socket = (context_of or context()).wrap_socket(
                self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            self.socket.close()
            raise

    def shown(self):
        """The fingerprint of the server's certificate."""
        return hashlib.sha256(self.socket.getpeercert(True)).hexdigest()

    def raw(self):
        """The socket beneath, as a socket of its own."""
        beneath = socket.socket(fileno=os.dup(self.socket.fileno()))
        beneath.setblocking(True)
        return beneath

    def ended(self):
        """The server ends the stream as TLS has it, with nothing before it."""
        try:
            if not self.buffer:
                self.more()
        except Ended:
            return
        raise AssertionError(f"expected the end, found {self.buffer[:100]!r}")


class SecureClient(SecureSocket, Client):
    """An open WebSocket over TLS."""

    def __init__(self, daemon, context_of=None, name="localhost", path="/echo", headers=(), **options):
        SecureSocket.__init__(self, daemon, context_of, name, **options)
        self.send(request(path, headers))
        status, self.fields = self.head()
        equal(status, 101, f"status of {path}")
