"""Ctrl-C at each phase: the run ends early and still reports; a second Ctrl-C ends it at once."""

import base64
import hashlib
import os
import re
import signal

from harness import Daemon, case, equal, eventually
from tester import Agent, Server, Tester, all_gone, figures, state_of

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(request):
    """The answer to an opening handshake (RFC 6455 §4.2.2)."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)[1]
    digest = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
    )


def fleets():
    """Options, and what must be held open meanwhile."""
    yield [], None
    yield ["--workers", 2], None
    agent = Agent("--workers", 2)
    yield ["--agents", agent.address], agent


def each_fleet(body):
    for options, agent in fleets():
        try:
            body(options, agent)
        finally:
            if agent:
                agent.__exit__()


@case("Ctrl-C while clients connect")
def connecting():
    def body(options, agent):
        with Server(lambda request: None) as server:
            tester = Tester("echo", f"ws://{server.address}/", "-c", 6, *options)
            eventually(lambda: server.count == 6, "six requests")
            tester.interrupt()
            code, out, err = tester.finish()
            equal(figures(out), (0, 0), out + err)

    each_fleet(body)


@case("Ctrl-C in the warm-up and in the measurement")
def measuring():
    def body(options, agent):
        for warmup in [60, 0]:
            with Daemon() as daemon:
                idle = daemon.descriptors()
                command = ["echo", daemon.url + "/echo", "-c", 6, "-d", 60, "--warmup", warmup]
                tester = Tester(*command, *options)
                eventually(lambda: daemon.descriptors() >= idle + 6, "the connections")
                pids = (agent or tester).workers()
                tester.interrupt()
                code, out, err = tester.finish()
                equal(code, 0, out + err)
                equal(figures(out)[0], 6)
                all_gone(pids)

    each_fleet(body)


@case("SIGTERM as Ctrl-C")
def terminated():
    with Daemon() as daemon:
        idle = daemon.descriptors()
        for end in [lambda tester: tester.process.terminate(), lambda tester: os.killpg(tester.pid, signal.SIGTERM)]:
            tester = Tester("idle", daemon.url + "/echo", "-c", 6, "--workers", 2)
            eventually(lambda: daemon.descriptors() >= idle + 6, "the connections")
            end(tester)
            code, out, err = tester.finish()
            equal(code, 0, out + err)
            equal(figures(out)[0], 6)
            eventually(lambda: daemon.descriptors() <= idle, "the end of the connections")


@case("Ctrl-C while the last answers are awaited")
def ending():
    def body(options, agent):
        with Server(accept) as server:
            command = ["echo", f"ws://{server.address}/", "-c", 6, "-d", 0.2, "--warmup", 0, "--end-timeout", 3600]
            tester = Tester(*command, *options)
            tester.says("ending:")  # it awaits answers, which never come
            tester.interrupt()
            code, out, err = tester.finish()
            equal(figures(out), (6, 0), out + err)
            assert "unanswered" not in out, f"it has waited to the end: {out}"

    each_fleet(body)


@case("a second Ctrl-C ends everything at once")
def second():
    def body(options, agent):
        with Server(accept) as server:
            tester = Tester("echo", f"ws://{server.address}/", "-c", 6, "-d", 60, "--warmup", 0, *options)
            eventually(lambda: server.count == 6, "six clients")
            pids = (agent or tester).workers()
            tester.interrupt()
            tester.says("ending:")  # it has heard the first, and awaits answers, which never come
            tester.interrupt()
            code, out, _ = tester.finish()
            equal(code, -signal.SIGINT, out)
            equal(out, "")
            all_gone(pids)

    each_fleet(body)


@case("a run that is suspended goes on")
def suspended():
    with Daemon() as daemon:
        idle = daemon.descriptors()
        # A group in our session, as a shell's job: SIGTSTP stops none that is a session of its own.
        command = ["echo", daemon.url + "/echo", "-c", 6, "-d", 2, "--warmup", 0, "--workers", 2]
        tester = Tester(*command, session=False, prepare=os.setpgrp)
        eventually(lambda: daemon.descriptors() >= idle + 6, "the connections")
        pids = tester.workers()
        os.killpg(tester.pid, signal.SIGTSTP)
        eventually(lambda: all(state_of(pid) == "T" for pid in [tester.pid, *pids]), "the stop")
        os.killpg(tester.pid, signal.SIGCONT)
        code, out, err = tester.finish()
        equal(code, 0, out + err)
