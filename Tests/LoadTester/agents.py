"""Clients on several machines: agents, here all on this one."""

import os
import signal
import socket
import tempfile

from harness import Daemon, case, equal, eventually
from tester import TOKEN, Agent, Tester, all_gone, figures, is_working, load


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
        place = f" of agent {socket.gethostname()} (pid {victim}) was lost: it was ended by signal 9"
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
        idlers = [socket.create_connection((host, int(port))) for _ in range(20)]
        command = ["idle", daemon.url + "/echo", "-c", 2, "-d", 0.2, "--agents", agent.address]
        eventually(lambda: load(*command)[0] == 0, "a run beside them", seconds=60)
        for idler in idlers:
            idler.close()
