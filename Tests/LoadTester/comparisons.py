"""Two servers measured in turns."""

import json
import re

from harness import Daemon, case, equal, eventually
from tester import Server, Tester, load


@case("compare measures in the order ABBA and reports each round")
def rounds():
    with Daemon() as first, Daemon() as second:
        urls = [first.url + "/echo", second.url + "/echo"]
        options = ["-d", 0.2, "--warmup", 0, "-c", 4]
        pids = ["--server-pid", first.pid, "--server-pid-b", second.pid]
        code, out, err = load("compare", *urls, "--scenario", "echo", "--rounds", 3, *options, *pids, "--json")
        equal(code, 0, out + err)
        report = json.loads(out)
        equal([measured["first"] for measured in report["rounds"]], ["a", "b", "a"])
        assert all(measured[name]["per_second"] > 0 for measured in report["rounds"] for name in "ab"), out
        assert all(report["ratios"][name]["b_over_a"] > 0 for name in ["per_second", "p50_ns", "p99_ns"]), out
        equal("".join(re.findall(r"round \d, ([AB]):", err)), "ABBAAB")
        code, out, err = load("compare", *urls, "--rounds", 2, *options, "--quiet", "--workers", 2)
        equal((code, err), (0, ""), out)
        assert re.search(r"throughput: .*\d+\.\d+ .*95 % CI \d", out.replace("\n", " ")), out


@case("compare says what it cannot do")
def refusals():
    urls = ["ws://127.0.0.1:1/", "ws://127.0.0.1:1/"]
    code, _, err = load("compare", *urls, "--scenario", "nothing")
    assert code == 64 and "--scenario is 'nothing'; use one of echo" in err, err
    code, _, err = load("compare", *urls, "--rounds", 0)
    assert code == 64 and "--rounds is 0; use 1...1000" in err, err
    code, _, err = load("compare", *urls, "--no-such-option", 1)
    assert code == 64 and "no-such-option" in err, err
    code, _, err = load("compare", *urls, "--fail-if", "p99>1s")
    assert code == 64 and "--fail-if has no effect here" in err, err
    code, out, err = load("compare", *urls, "--rounds", 1, "-d", 0.1)
    assert code == 1 and "Connection refused" in out, out + err


@case("Ctrl-C ends a comparison, and the rounds that were completed are reported")
def interrupted():
    with Daemon() as daemon, Server(lambda request: None) as silent:
        command = ["compare", daemon.url + "/echo", f"ws://{silent.address}/", "--rounds", 2, "-d", 0.2, "-c", 4]
        tester = Tester(*command, "--warmup", 0)
        eventually(lambda: silent.count == 4, "the second server's turn")
        tester.interrupt()
        code, out, err = tester.finish()
        equal(code, 1, err)
        assert "no round was completed" in out, out
