"""Clients on several machines: agents, here all on this one."""

import contextlib
import hashlib
import hmac
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from harness import DEADLINE, Daemon, case, equal, eventually
from runner import NotChecked
from tester import TOKEN, Agent, Relay, Tester, all_gone, figures, is_working, load


@case("agents over IPv4 and IPv6 share the clients out, each over its workers")
def two():
    with Daemon() as daemon, Agent("--workers", 2) as first, Agent(listen="[::1]:0") as second:
        command = ["echo", daemon.url + "/echo", "-c", 31, "-d", 0.3, "--warmup", 0]
        agents = ["--agents", f"{first.address},{second.address}"]
        for _ in range(2):
            code, out, err = load(*command, *agents)
            equal(code, 0, out + err)
            equal(figures(out)[0], 31)
        # A name instead of an address.
        code, out, err = load(*command, "--agents", first.address.replace("127.0.0.1", "localhost"))
        equal(code, 0, out + err)


@case("the token may be in a file, and a wrong or missing one is refused")
def tokens():
    with Daemon() as daemon, Agent() as agent:
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents", agent.address]
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(TOKEN + "\n")
            file.flush()
            code, out, err = load(*command, "--token-file", file.name, token=None)
            equal(code, 0, out + err)
        code, _, err = load(*command, token="another token of some length")
        equal(code, 1)
        assert "the token is not the agent's" in err, err
        code, _, err = load(*command, token="short")
        assert code == 1 and "use 16...1024" in err, err
        os.environ.pop("ROOST_LOADTEST_TOKEN", None)
        code, _, err = load(*command, token=None)
        assert code == 1 and "give --token-file FILE or set ROOST_LOADTEST_TOKEN" in err, err
        eventually(lambda: any("does not have the token" in line for line in agent.lines), "the agent's line")


@case("an agent serves one run, refuses a second, and goes on after a coordinator that is gone")
def one_at_a_time():
    with Daemon() as daemon, Agent("--workers", 2) as agent:
        idle = daemon.descriptors()
        command = ["idle", daemon.url + "/echo", "-c", 10, "--agents", agent.address]
        first = Tester(*command)
        eventually(lambda: daemon.descriptors() >= idle + 10, "the connections")
        pids = agent.workers()
        equal(len(pids), 2)
        code, _, err = load(*command)
        equal(code, 1)
        assert f"agent {agent.address}: it serves another run" in err, err
        assert daemon.descriptors() >= idle + 10
        first.kill()
        all_gone(pids)
        eventually(lambda: daemon.descriptors() <= idle, "the end of the connections")
        code, out, err = load(*command, "-d", 0.2)
        equal(code, 0, out + err)
        equal(figures(out)[0], 10)


@case("an agent that vanishes is named, and the rest is reported")
def vanishing():
    with Daemon() as daemon, Agent() as stays:
        idle = daemon.descriptors()
        gone = Agent(listen="[::1]:0")
        agents = f"{stays.address},{gone.address}"
        tester = Tester("echo", daemon.url + "/echo", "-c", 20, "-d", 60, "--warmup", 0, "--agents", agents)
        eventually(lambda: daemon.descriptors() >= idle + 20, "the connections")
        is_working(daemon)
        pids = gone.workers()
        gone.process.kill()
        gone.process.wait()
        code, out, _ = tester.finish()
        equal(code, 1)
        assert f"agent {gone.address} was lost: the connection to it" in out, out
        assert figures(out)[0] >= 10, out
        all_gone(pids)
        eventually(lambda: daemon.descriptors() <= idle, "the end of the connections")


@case("a worker of an agent that is killed is named with its agent")
def worker_of_agent():
    with Daemon() as daemon, Agent("--workers", 2) as agent:
        idle = daemon.descriptors()
        tester = Tester("echo", daemon.url + "/echo", "-c", 20, "-d", 60, "--agents", agent.address)
        eventually(lambda: daemon.descriptors() >= idle + 20, "the connections")
        victim = agent.workers()[0]
        os.kill(victim, signal.SIGKILL)
        code, out, _ = tester.finish()
        equal(code, 1)
        place = f" of agent {agent.address} (pid {victim}) was lost: it was ended by signal 9"
        equal(out.count(place), 1, out)


@case("what is not an agent is told from one")
def strangers():
    with Daemon() as daemon:
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2]
        code, _, err = load(*command, "--agents", daemon.address)
        equal(code, 1)
        assert f"agent {daemon.address}: " in err, err
        with socket.create_server(("127.0.0.1", 0)) as listener:
            silent = "127.0.0.1:%d" % listener.getsockname()[1]
            code, _, err = load(*command, "--agents", silent)
            equal(code, 1)
            assert f"agent {silent}: it did not answer within 15 s" in err, err
        code, _, err = load(*command, "--agents", silent)
        assert code == 1 and f"agent {silent} cannot be reached: Connection refused; start it with" in err, err
        code, _, err = load(*command, "--agents", silent, "--workers", 2)
        assert code == 64 and "give them to `loadtest agent`" in err, err


@case("who holds an agent's connections without a word keeps nobody out for long")
def silent_strangers():
    with Daemon() as daemon, Agent() as agent:
        host, port = agent.address.rsplit(":", 1)
        idlers = [socket.create_connection((host, int(port))) for _ in range(200)]
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents", agent.address]
        code, out, err = load(*command)
        equal(code, 0, out + err)
        for idler in idlers:
            idler.close()
        eventually(lambda: len(os.listdir(f"/proc/{agent.pid}/fd")) < 30, "the end of their descriptors")


def frame(message):
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def read_frame(stream):
    """The bytes of a message; none where the stream has ended."""
    header = stream.read(4)
    return stream.read(struct.unpack(">I", header)[0]) if len(header) == 4 else b""


def greet(address, change_nonce=str, change_proof=str):
    """A coordinator that has the token, up to the answer to its proof: its connection, the answer, the random texts."""
    host, port = address.rsplit(":", 1)
    connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
    stream = connection.makefile("rb")
    ours = change_nonce(os.urandom(32).hex())
    connection.sendall(frame({"hello": {"version": 2, "nonce": ours}}))
    theirs = json.loads(read_frame(stream))["challenge"]["nonce"]
    answer = b""
    # Who is refused may find the connection reset.
    with contextlib.suppress(ConnectionError):
        connection.sendall(frame({"proof": {"_0": change_proof(digest("coordinator", ours, theirs).hex())}}))
        answer = read_frame(stream)
    return connection, stream, json.loads(answer) if answer else None, ours, theirs


def digest(purpose, ours, theirs):
    text = f"roost loadtest\n{purpose}\n{ours}\n{theirs}"
    return hmac.new(TOKEN.encode(), text.encode(), hashlib.sha256).digest()


def sealed(body, number, key):
    tag = hmac.new(key, struct.pack(">Q", number) + body, hashlib.sha256).digest()
    return struct.pack(">I", len(body) + 32) + body + tag


@case("the greeting proves both sides' token; each message after it is sealed, and none but the next is taken")
def sealing():
    clock = b'{"clock":{}}'

    def talk(agent, *sendings):
        """What the agent answers to each of `sendings`, which are made of the key; its own seals are checked."""
        connection, stream, answer, ours, theirs = greet(agent.address)
        equal(answer["welcome"]["proof"], digest("agent", ours, theirs).hex())
        key = digest("messages of coordinator", ours, theirs)
        agent_key = digest("messages of agent", ours, theirs)
        answers = []
        for number, sending in enumerate(sendings):
            connection.sendall(sending(key))
            message = read_frame(stream)
            body, tag = message[:-32], message[-32:]
            equal(tag, hmac.new(agent_key, struct.pack(">Q", number) + body, hashlib.sha256).digest())
            answers += json.loads(body)
        stream.close()
        connection.close()
        return answers

    with Agent() as agent:
        equal(talk(agent, lambda key: sealed(clock, 0, key), lambda key: sealed(clock, 1, key)), ["clock", "clock"])
        wrong = {
            "repeated": lambda key: sealed(clock, 0, key),
            "left out": lambda key: sealed(clock, 2, key),
            "of nobody": lambda key: frame({"clock": {}}),
            "changed": lambda key: sealed(clock, 1, key).replace(b"clock", b"clack"),
            "of another key": lambda key: sealed(clock, 1, bytes(32)),
        }
        for what, sending in wrong.items():
            answers = talk(agent, lambda key: sealed(clock, 0, key), sending)
            equal(answers, ["clock", "failed"], what)
        # A proof is good for its own greeting, and in one form.
        overheard = []
        greet(agent.address, change_proof=lambda proof: overheard.append(proof) or proof)
        changes = [lambda proof: overheard[0], lambda proof: proof[::-1], lambda proof: "", lambda proof: proof + "0"]
        for change in [*changes, str.upper]:
            assert "failed" in greet(agent.address, change_proof=change)[2]
        for nonce in ["", "x" * 64, "0" * 63, "0" * 63 + "\n"]:
            equal(greet(agent.address, change_nonce=lambda _, nonce=nonce: nonce)[2], None, repr(nonce))


@case("who passes a greeting on to an agent can add nothing to what is said")
def relayed():
    with Daemon() as daemon, Agent() as agent:
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents"]
        with Relay(agent.address) as relay:
            code, out, err = load(*command, relay.address)
            equal(code, 0, out + err)
        with Relay(agent.address, change=lambda data: data.replace(b"127.0.0.1", b"127.0.0.2")) as relay:
            code, _, err = load(*command, relay.address)
            equal(code, 1)
            assert f"agent {relay.address}: a message came that is not the other side's" in err, err
        code, out, err = load(*command, agent.address)
        equal(code, 0, out + err)


@case("an agent far away: its clock is known to half of a round trip, and the report says so")
def far_away():
    with Daemon() as daemon, Agent() as near, Agent() as far, Relay(far.address, seconds=0.03) as relay:
        agents = ["--agents", f"{near.address},{relay.address}"]
        command = ["fanout", daemon.url + "/broadcast/far", "--subscribers", 10, "--rate", 100]
        code, out, err = load(*command, "-d", 0.5, "--warmup", 0, *agents)
        equal(code, 0, out + err)
        known = re.search(r"clocks are known to ([\d.]+) ms only", out)
        assert known and float(known[1]) >= 30, out
        # A closed loop keeps a room on one machine, and one agent's clients have one clock.
        for more in [["--rooms", 2, "--in-flight", 1, *agents], ["--rate", 100, "--agents", relay.address]]:
            room = "{room}" if "--rooms" in more else "one"
            command = ["fanout", f"{daemon.url}/broadcast/{room}", "--publishers", 2, "--subscribers", 10]
            code, out, err = load(*command, "-d", 0.3, "--warmup", 0, *more)
            equal(code, 0, out + err)
            assert "clocks" not in out, out


@case("machines' clocks differ by hours: deliveries between them take what they take")
def other_clocks():
    def shifted(seconds):
        return ["unshare", "--time", "--monotonic", str(seconds)]

    # Older kernels give the new clock to further children only.
    clock = [*shifted(100_000), sys.executable, "-c", "import time; print(time.monotonic())"]
    shown = subprocess.run(clock, capture_output=True, text=True).stdout
    if float(shown or 0) < time.monotonic() + 50_000:
        raise NotChecked("needs `unshare --time`, as root, of Linux 6.0 or later")

    with Daemon() as daemon, Agent(prefix=shifted(7200)) as early, Agent(prefix=shifted(100_000)) as late:
        agents = ["--agents", f"{early.address},{late.address}"]
        command = ["fanout", daemon.url + "/broadcast/clocks", "--publishers", 4, "--subscribers", 20, "--rate", 200]
        start = time.monotonic()
        code, out, err = load(*command, "-d", 1, "--warmup", 0, "--json", "--quiet", *agents)
        most = time.monotonic() - start
        equal(code, 0, out + err)
        found = json.loads(out)
        latency = found["latency_ns"]
        # Off by an hour, it would be none, or the most that is recorded.
        assert 0 < latency["p50"] / 1e9 < most and latency["max"] / 1e9 < most, latency
        equal((found["lost"], found["errors"]), (0, []))


@case("agents that are one, and cores that an agent does not have, are refused before a run")
def wrong_fleets():
    with Daemon() as daemon, Agent() as agent:
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents"]
        code, _, err = load(*command, f"{agent.address},{agent.address}")
        assert code == 1 and f"--agents has '{agent.address}' twice; name each agent once" in err, err
        name = agent.address.replace("127.0.0.1", "localhost")
        code, _, err = load(*command, f"{agent.address},{name}")
        assert code == 1 and "which are one; name each agent once" in err, err
    code, _, err = load("agent", "--listen", "127.0.0.1:0", "--cores", 1000)
    assert code == 1 and "--cores has 1000, which this program may not use; use some of" in err, err


@case("an agent that cannot run its clients is named, with its worker, and the others are free again")
def too_small():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    with Daemon() as daemon, Agent() as large, Agent("--workers", 2, prepare=limit) as small:
        command = ["idle", daemon.url + "/echo", "-d", 0.2, "--agents", f"{large.address},{small.address}"]
        code, _, err = load(*command, "-c", 400)
        equal(code, 1)
        assert re.search(rf"worker \d of agent {small.address} \(pid \d+\): 100 connections are for this", err), err
        code, out, err = load(*command, "-c", 40)
        equal(code, 0, out + err)
        equal(figures(out)[0], 40)


@case("a token file that everybody may read is warned of")
def open_file():
    with Daemon() as daemon, Agent() as agent, tempfile.NamedTemporaryFile("w") as file:
        file.write(TOKEN + "\n")
        file.flush()
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents", agent.address]
        command += ["--token-file", file.name]
        for mode, is_warned in [(0o644, True), (0o640, False)]:
            os.chmod(file.name, mode)
            code, out, err = load(*command, token=None)
            equal(code, 0, out + err)
            equal(f"`chmod 600 {file.name}`" in err, is_warned, err)
