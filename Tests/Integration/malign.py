"""Faults that end a connection, or keep it from beginning: it alone ends, with one cause, and the daemon goes on."""

import collections
import socket

import faulting
import ledger
from harness import *

# Reads and writes that a conversation is broken at, one connection each. More than it has: the last ones go through.
CALLS = 30


def conversation(client):
    """Handshake, small and large echoes, a ping, a close: every path of reading and writing."""
    client.send(request())
    equal(client.head()[0], 101)
    client.__class__ = Client
    client.echo(b"small")
    client.echo(bytes(100_000), BINARY)
    client.send(frame(TEXT, b"one, ", fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"two"))
    client.expect(PONG, b"?")
    client.expect(TEXT, b"one, two")
    client.echo(b"x" * 20_000)
    client.close_properly()


def goes_through(daemon):
    """Whether a conversation comes to its end, or is broken off. Silence is neither."""
    try:
        with Socket(daemon) as client:
            conversation(client)
            return True
    except (ConnectionError, Ended):
        return False


def broken_at_each_call(call, what, count=CALLS):
    """Breaks the conversation of connection N at its Nth `call`."""
    rules = ";".join(f"{call}@{number}#{number}={what}" for number in range(1, count + 1))
    with faulting.faults(rules) as faults, Daemon(log_level="debug", close_timeout="500ms") as daemon:
        before = daemon.descriptors()
        whole = [goes_through(daemon) for _ in range(count)]
        injected = sum(faults.injected().values())
        assert not whole[0] and not whole[1], f"{call} {what}: the first ones went through"
        assert whole[-1], f"{call} {what}: a conversation has more than {count} calls: raise CALLS"
        assert whole.count(False) <= injected < count, f"{injected} injected, {whole.count(False)} broken"
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)
        causes = ledger.each_ended_once(daemon)
        assert set(causes) <= {"connection_lost", "client_closed", "handshake_abandoned"}, causes


@case("a connection that breaks at any of its calls ends alone, with one cause")
def broken():
    for call, what in [
        ("io", "ECONNRESET"),
        ("in", "ECONNRESET"),
        ("out", "EPIPE"),
        ("io", "ETIMEDOUT"),
        ("out", "EHOSTUNREACH"),
        ("in", "ENOMEM"),
        ("out", "ENOMEM"),
    ]:
        broken_at_each_call(call, what)


@case("resets and shortages at random, among 40 connections at once: each ends once, the others go on")
def random_breaks():
    for seed in (11, 12, 13):
        script = f"seed={seed};rate=0.02;faults=reset,epipe,enomem:0.01,short-read:0.1,short-write:0.1,eagain:0.1"
        with faulting.faults(script) as faults, Daemon(log_level="debug", close_timeout="500ms") as daemon:
            before = daemon.descriptors()
            results = collections.Counter()

            def talk(_):
                for _ in range(10):
                    results[goes_through(daemon)] += 1

            together(40, talk)
            assert results[True] > 0 < results[False], results
            faults.injected("recv ECONNRESET", "send ECONNRESET", "send EPIPE", "recv ENOMEM")
            eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
            eventually(lambda: goes_through(daemon), "a fresh client gets through")
            eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
            ledger.each_ended_once(daemon)


@case("accepting that fails for a while goes on afterwards: nobody who waits is forgotten")
def accept_storms():
    for what in ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM", "EPROTO", "EINTR"]:
        with faulting.faults(f"accept4#1..4={what}") as faults, Daemon("--schedulers", "1") as daemon:
            clients = [Client(daemon) for _ in range(5)]
            equal(faults.injected(f"accept4 {what}")[f"accept4 {what}"], 4)
            for client in clients:
                client.echo()
                client.close_properly()


@case("accepting without descriptors waits, and takes no CPU")
def accept_pauses():
    with faulting.faults("accept4#1..10=EMFILE") as faults, Daemon("--schedulers", "1") as daemon:
        before = daemon.ticks()
        with Client(daemon) as client:
            client.echo()
        # Ten tries, 100 ms apart: a loop without a pause would be through at once, or take all of a core.
        assert daemon.ticks() - before < 30, f"{daemon.ticks() - before} ticks"
        equal(faults.injected("accept4 EMFILE")["accept4 EMFILE"], 10)


@case("connections that are gone before they are accepted cost nobody else")
def aborted():
    with faulting.faults("accept4#1..300%3=ECONNABORTED") as faults, Daemon(log_level="debug") as daemon:
        before = daemon.descriptors()
        whole = [goes_through(daemon) for _ in range(60)]
        assert whole.count(False) == faults.injected("accept4 ECONNABORTED")["accept4 ECONNABORTED"], whole
        assert whole.count(True) >= 30, whole
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        ledger.each_ended_once(daemon, never_accepted=whole.count(False))


@case("a connection whose bytes never leave is cut off at its deadline, whether it is silent, talks or closes")
def never_leaves():
    settings = {"ping_interval": "100ms", "pong_timeout": "100ms", "close_timeout": "200ms", "log_level": "debug"}
    for what in ["ENOBUFS:quiet", "EAGAIN:quiet", "ENOBUFS"]:
        for say, cause in [
            (lambda client: client.send_frame(TEXT, b"hello?"), "pong_timeout"),
            (lambda client: client.send(frame(BINARY, bytes(1 << 20)) * 3), "slow_consumer"),
            (lambda client: client.send_frame(CLOSE, close_payload(1000)), "client_closed"),
        ]:
            with faulting.faults(f"out@1#2..={what}") as faults, Daemon(**settings) as daemon:
                with Client(daemon) as client:
                    with contextlib.suppress(OSError):
                        say(client)
                    client.ended()
                    equal(ledger.cause_of(daemon, ledger.port_of(client)), cause, what)
                assert any(name.split()[0] in ("send", "sendmsg") for name in faults.injected())
                still_well(daemon)


@case("an answer that must wait for room reaches a peer that has ended its side")
def answers_that_wait():
    # (what is sent before the end, which writes must wait, what is to come)
    for sent, calls, expected in [
        (b"nonsense\r\n\r\n", "1..3", b"HTTP/1.1 400 "),
        (request("/nowhere"), "1..3", b"HTTP/1.1 404 "),
        (request() + frame(3), "2..4", close_payload(1002)),
        (request() + frame(CLOSE, close_payload(1000)), "2..4", close_payload(1000)),
        (request() + frame(TEXT, b"last words"), "2..4", b"last words"),
    ]:
        with faulting.faults(f"out@1#{calls}=EAGAIN") as faults, Daemon() as daemon:
            with Socket(daemon) as client:
                client.send(sent)
                client.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(Ended, ConnectionResetError):
                    while True:
                        client.more()
                assert expected in client.buffer, f"{sent[:40]!r}: {client.buffer!r} instead of {expected!r}"
            faults.injected("send EAGAIN")


@case("a socket that epoll refuses is no open connection: it ends, with one cause")
def not_registered():
    for what in ["ENOMEM", "ENOSPC"]:
        settings = {"handshake_timeout": "500ms", "log_level": "debug"}
        with faulting.faults(f"epoll_add@1={what}") as faults, Daemon(**settings) as daemon:
            before = daemon.descriptors()
            with Socket(daemon) as client:
                client.socket.settimeout(3)
                with contextlib.suppress(OSError):
                    client.send(request() + frame(TEXT, b"hello"))
                try:
                    while True:
                        client.more()
                except (Ended, ConnectionError):
                    pass
                faults.injected(f"epoll_add {what}")
                equal(ledger.cause_of(daemon, ledger.port_of(client)), "registration_failed")
            eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
            still_well(daemon)


@case("a crashed handler's socket that epoll refuses to hand over: the connection ends, with one cause")
def not_handed_over():
    with faulting.faults("epoll_mod@1=ENOMEM") as faults, Daemon(log_level="debug") as daemon:
        with Client(daemon, "/demo/throw") as client:
            client.socket.settimeout(3)
            client.send_frame(TEXT, b"go")
            eventually(lambda: "handler crashed" in daemon.logged(), "the handler crashes")
            with contextlib.suppress(Ended, ConnectionError):
                # Whether it is heard until its end comes is all one; that it would be neither ended nor heard is not.
                client.send_frame(CLOSE, close_payload(1000))
                client.receive_close()
            faults.injected("epoll_mod ENOMEM")
            ledger.cause_of(daemon, ledger.port_of(client))
        still_well(daemon)


@case("a listener that epoll refuses after a pause is tried again")
def listener_not_registered():
    script = "accept4#1=EMFILE;epoll_add@listener#2..4=ENOMEM"
    with faulting.faults(script) as faults, Daemon("--schedulers", "1") as daemon:
        for _ in range(5):
            with Socket(daemon) as client:
                client.socket.settimeout(3)
                client.send(request())
                equal(client.head()[0], 101)
        faults.injected("accept4 EMFILE", "epoll_add ENOMEM")


@case("hundreds of interruptions in a row change nothing")
def interrupted():
    script = "in#1..300=EINTR;out#1..300=EINTR;accept4#1..50=EINTR;epoll_wait#1..500=EINTR"
    with faulting.faults(script) as faults, Daemon() as daemon:
        for _ in range(5):
            with Socket(daemon) as client:
                conversation(client)
        faults.injected("recv EINTR", "send EINTR", "accept4 EINTR", "epoll_wait EINTR")


@case("a byte at a time, in and out, from the first to the last")
def byte_at_a_time():
    with faulting.faults("in=short:1;out=short:1") as faults, Daemon() as daemon:
        with Client(daemon) as client:
            client.echo(b"small")
            client.echo("Grüße aus dem Süden 🐓".encode() * 50)
            client.send(frame(TEXT, b"one, ", fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"two"))
            got = sorted([client.receive(), client.receive()])
            equal(got, [(TEXT, b"one, two"), (PONG, b"?")])
            client.close_properly()
        faults.injected("recv short", "send short")
