"""How connections ended: each exactly once, with a cause of the closed set. From the log, and from the metrics."""

import collections
import re
import socket

from harness import eventually

# CloseReason.Cause, as the log and the metrics name them.
CAUSES = set("""
    client_closed server_closed handler_closed connection_lost protocol_error invalid_payload message_too_big
    idle_timeout pong_timeout slow_consumer rate_limited handler_crashed draining
    request_invalid handshake_refused origin_refused handshake_timeout handshake_abandoned listener_full
    registration_failed address_limit address_rate tls_failed tls_timeout proxy_refused proxy_timeout
    requests_served connect_failed
    """.split())
ENDED = re.compile(r'message="connection ended".* connection\.cause=(\S+) .*connection\.peer=\S*:(\d+)$', re.MULTILINE)
SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


def ends(daemon):
    """The causes of each peer port whose connection has ended. The daemon logs at `debug`."""
    found = collections.defaultdict(list)
    for cause, port in ENDED.findall(daemon.logged()):
        found[int(port)].append(cause)
    return found


def port_of(client):
    return client.socket.getsockname()[1]


def each_ended_once(daemon, never_accepted=0):
    """Every client that has connected, all of them gone by now, was accepted and ended exactly once.

    Of so many at most the kernel never told the daemon. Returns how often there was which cause.
    """
    expected = sum(daemon.ports.values())
    eventually(
        lambda: sum(map(len, ends(daemon).values())) >= expected - never_accepted,
        f"{expected} connections have ended",
    )
    found = ends(daemon)
    for port, causes in found.items():
        assert len(causes) <= daemon.ports[port], f"port {port}: {daemon.ports[port]} connected, ended as {causes}"
    causes = collections.Counter(cause for list in found.values() for cause in list)
    assert set(causes) <= CAUSES, f"causes that nobody knows: {set(causes) - CAUSES}"
    return causes


def cause_of(daemon, port):
    """The one cause that the connection from `port` has ended with: the latest, where the port was another's before."""
    count = daemon.ports[port]
    eventually(lambda: len(ends(daemon)[port]) >= count, f"the connection from {port} has ended")
    causes = ends(daemon)[port]
    assert len(causes) == count, f"port {port}: {count} connected, ended as {causes}"
    assert causes[-1] in CAUSES, causes
    return causes[-1]


def parse_metrics(text):
    """Prometheus's text format, as {(name, ((label, value), …)): number}."""
    found = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        sample = SAMPLE.match(line)
        assert sample, f"no sample: {line!r}"
        name, labels, value = sample.groups()
        key = name, tuple(sorted(LABEL.findall(labels or "")))
        assert key not in found, f"twice: {key}"
        found[key] = float(value)
    return found


def metrics(address, path="/metrics"):
    """What the daemon tells over HTTP at `address`."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), 20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.split(b" ", 2)[1] == b"200", head
    return parse_metrics(body.decode())


def ended_by_cause(samples):
    """`roost_connections_ended_total` of each cause."""
    found = collections.Counter()
    for (name, labels), value in samples.items():
        if name == "roost_connections_ended_total":
            found[dict(labels)["cause"]] += int(value)
    return found
