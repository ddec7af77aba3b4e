"""Several worker processes on one machine."""

import os
import re
import signal

from harness import Daemon, case, equal, eventually
from tester import Tester, all_gone, figures, is_working, load


def descriptors_of(daemon, count):
    """Waits until the daemon has so many more descriptors than it began with."""
    eventually(lambda: daemon.descriptors() >= count, f"{count} descriptors of the daemon")


@case("workers share the clients out exactly")
def share():
    with Daemon() as daemon:
        for clients, workers in [(31, 3), (2, 3), (7, 1)]:
            command = ["idle", daemon.url + "/echo", "-c", clients, "-d", 0.3, "--workers", workers]
            code, out, err = load(*command)
            equal(code, 0, out + err)
            equal(figures(out)[0], clients, "opened")


@case("workers' answers add up")
def echo():
    with Daemon() as daemon:
        code, out, err = load("echo", daemon.url + "/echo", "-c", 10, "-d", 0.5, "--warmup", 0, "--workers", 3)
        equal(code, 0, out + err)
        opened, completed = figures(out)
        equal(opened, 10)
        assert completed >= 10, out


@case("a worker that is killed is named, and the rest is reported")
def killed():
    with Daemon() as daemon:
        idle = daemon.descriptors()
        tester = Tester("echo", daemon.url + "/echo", "-c", 30, "-d", 60, "--warmup", 0, "--workers", 3)
        descriptors_of(daemon, idle + 30)
        is_working(daemon)
        victim = tester.workers()[1]
        os.kill(victim, signal.SIGKILL)
        code, out, _ = tester.finish()
        equal(code, 1)
        assert re.search(rf"worker \d \(pid {victim}\) was lost: it was ended by signal 9", out), out
        equal(out.count("was lost"), 1, out)
        assert figures(out)[0] >= 20, out
        all_gone(tester.workers())


@case("no worker outlives a coordinator that is killed")
def orphans():
    with Daemon() as daemon:
        idle = daemon.descriptors()
        tester = Tester("idle", daemon.url + "/echo", "-c", 30, "--workers", 3)
        descriptors_of(daemon, idle + 30)
        pids = tester.workers()
        equal(len(pids), 3)
        tester.kill()
        all_gone(pids)
        eventually(lambda: daemon.descriptors() <= idle, "the end of the connections")


@case("workers run on the cores that they are pinned to")
def cores():
    core = min(os.sched_getaffinity(0))
    with Daemon() as daemon:
        idle = daemon.descriptors()
        for workers in [1, 2]:
            command = ["idle", daemon.url + "/echo", "-c", 4, "--workers", workers, "--cores", core]
            tester = Tester(*command)
            descriptors_of(daemon, idle + 4)
            for pid in tester.workers() or [tester.pid]:
                for task in os.listdir(f"/proc/{pid}/task"):
                    equal(os.sched_getaffinity(int(task)), {core}, f"cores of thread {task}")
            tester.interrupt()
            equal(tester.finish()[0], 0)
            eventually(lambda: daemon.descriptors() <= idle, "the end of the connections")
    code, _, err = load("idle", "ws://127.0.0.1:1/", "--cores", "1000")
    equal(code, 1)
    assert "--cores has 1000, which this program may not use; use some of" in err, err


@case("workers have no descriptor of the coordinator's but their socket")
def descriptors():
    with Daemon() as daemon:
        idle = daemon.descriptors()
        tester = Tester("idle", daemon.url + "/echo", "-c", 4, "--workers", 4)
        descriptors_of(daemon, idle + 4)
        for pid in tester.workers():
            pairs = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
            # The socket to the coordinator and one connection.
            equal(sum(pair.startswith("socket:") for pair in pairs), 2, f"{pairs}")
        tester.interrupt()
        equal(tester.finish()[0], 0)


@case("a worker that is started by hand says how workers are started")
def by_hand():
    code, _, err = load("worker")
    equal(code, 1)
    assert "use --workers N" in err, err


@case("clients beyond the descriptors ask for workers")
def too_few_descriptors():
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    with Daemon() as daemon:
        command = ["idle", daemon.url + "/echo", "-c", 200, "-d", 0.2]
        code, _, err = load(*command, prepare=limit)
        equal(code, 1)
        found = re.search(r"--workers (\d+)", err)
        assert found and "ulimit -n 232" in err, err
        code, out, err = load(*command, "--workers", found[1], prepare=limit)
        equal(code, 0, out + err)
        equal(figures(out)[0], 200)
