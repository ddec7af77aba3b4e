"""What a run leaves behind: JSON, a histogram log, a page, an exit status."""

import json
import os
import stat
import subprocess
import sys
import tempfile

import knowingly
from harness import Daemon, case, equal
from tester import Tester, call, report

HERE = os.path.dirname(os.path.abspath(__file__))


def kept(directory, name, *arguments):
    """Runs an echo test that leaves everything behind; the files' paths."""
    paths = {part: os.path.join(directory, f"{name}.{part}") for part in ("json", "hlog", "html")}
    out, _ = call(
        "echo", *arguments, "-c", 5, "--duration", 1.2, "--warmup", 0.3, "--out", paths["json"], "--hlog",
        paths["hlog"], "--report", paths["html"], status=0,
    )
    assert "p99.99" in out, out
    return paths


def opens(page):
    """A browser finds nothing wrong with the page."""
    command = [sys.executable, os.path.join(HERE, "browser.py"), page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    equal(done.returncode, 0, done.stdout + done.stderr)


@case("a run's histogram log, read by HdrHistogram's own package, says what its JSON says; its page opens")
def files():
    with Daemon() as daemon, tempfile.TemporaryDirectory() as directory:
        paths = kept(directory, "one", f"{daemon.url}/echo", "--server-pid", daemon.process.pid)
        subprocess.run(
            [sys.executable, os.path.join(HERE, "histogram_log.py"), paths["json"], paths["hlog"]], check=True,
            timeout=120,
        )
        opens(paths["html"])
        with open(paths["json"], encoding="utf-8") as file:
            found = json.load(file)
        assert found["round_trips"] > 0 and found["server_cpu_seconds"] > 0, found


@case("two kept runs are compared, as text and as a page; what is no report is named")
def comparison():
    with Daemon() as daemon, tempfile.TemporaryDirectory() as directory:
        one = kept(directory, "one", f"{daemon.url}/echo")
        two = kept(directory, "two", f"{daemon.url}/echo", "-k", 8)
        page = os.path.join(directory, "both.html")
        out, _ = call("report", one["json"], two["json"], "--report", page, status=0)
        assert "one.json" in out and "two.json" in out and "%" in out, out
        opens(page)
        wrong = os.path.join(directory, "wrong.json")
        with open(wrong, "w") as file:
            file.write('{"version": 1}')
        _, err = call("report", wrong, status=1)
        assert wrong in err, err
        _, err = call("report", os.path.join(directory, "none.json"), status=1)
        assert "none.json" in err, err


@case("a condition that holds makes the exit status 1, one that does not leaves it 0, a wrong one is refused first")
def conditions():
    with Daemon() as daemon:
        test = ("echo", f"{daemon.url}/echo", "-c", 2, "--duration", 0.5, "--warmup", 0)
        call(*test, "--fail-if", "p99>100s", "--fail-if", "errors>0", status=0)
        out, _ = call(*test, "--fail-if", "rate>1", "--fail-if", "errors>0", status=1)
        assert "rate>1" in out, out
        _, err = call(*test, "--fail-if", "p99>>5ms", status=1)
        assert "p99>>5ms" in err, err
        for metric, remedy in [("rate_per_cpu<1k", "--server-pid"), ("nobody:p99>5ms", "'clients'")]:
            out, err = call(*test, "--fail-if", metric, status=1)
            assert remedy in err and not out, out + err
        _, err = call(*test, "--out", "/nowhere/at/all.json", status=1)
        assert "/nowhere/at" in err, err


@case("a report that cannot be written makes the exit status 1, and keeps no other from being written")
def fullDisk():
    with Daemon() as daemon, tempfile.TemporaryDirectory() as directory:
        page = os.path.join(directory, "page.html")
        test = ("echo", f"{daemon.url}/echo", "-c", 2, "--duration", 0.3, "--warmup", 0, "--quiet")
        with open("/dev/full", "w") as full:
            code, _, err = Tester(*test, "--report", page, stdout=full).outputs()
        equal(code, 1)
        assert "standard output could not be written: No space left" in err, err
        assert os.path.getsize(page) > 0
        # A device stays one.
        out, err = call(*test, "--out", "/dev/full", status=1)
        assert "--out /dev/full could not be written: No space left" in err and "round trips" in out, out + err
        assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@case("a scenario file runs as it is checked, with conditions of its own")
def scenario():
    with Daemon() as daemon, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(
            f"""
url: {daemon.url}/echo
duration: 1s
warmup: 0s
fail-if: ["errors>0"]
clients: 6
groups:
  - name: talkers
    weight: 2
    flow:
      - repeat:
          count: forever
          flow:
            - send: "hello {{{{client}}}} {{{{seq}}}}"
            - expect: {{is: echo, measure: talk}}
            - think: {{exponential: {{mean: 20ms, max: 1s}}}}
  - name: holders
    weight: 1
    work: idle
"""
        )
        file.flush()
        out, _ = call("check", file.name, status=0)
        assert "talkers" in out, out
        found = report("run", file.name, status=0)
        equal([group["name"] for group in found["groups"]][:2], ["talkers", "holders"])
        equal(found["errors"], [])
        assert found["groups"][2]["latency_ns"]["count"] > 0, found["groups"][2]


@case("without a terminal a run tells how it goes in plain lines")
def lines():
    with knowingly.WrongEcho(number=10**9) as server:
        code, _, err = Tester("echo", server.url, "-c", 2, "--duration", 2, "--warmup", 0).outputs()
        equal(code, 0)
        assert "\x1b" not in err and "\r" not in err, repr(err)
        assert len(err.splitlines()) >= 2, err
