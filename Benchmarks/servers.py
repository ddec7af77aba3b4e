# SPDX-License-Identifier: Apache-2.0
"""The servers under test and the load generator: where they lie, how they start, and how they end."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
LOADGEN = HERE / ".build" / "loadgen"
ERLANG_CODE = HERE / ".build" / "erlang"
ROOST = pathlib.Path(os.environ.get("ROOST_BINARY", ROOT / ".build" / "release" / "roost"))
ROOST_BENCH = pathlib.Path(os.environ.get("ROOST_BENCH_BINARY", ROOT / ".build" / "release" / "roost-bench"))
NIO = HERE / "NIOEcho" / ".build" / "release" / "NIOEcho"
SERVER_CORE, GENERATOR_CORE = "0", "1"
START_DEADLINE_SECONDS = 10
STOP_DEADLINE_SECONDS = 5


class BenchError(Exception):
    """What kept a figure from being measured, in a sentence."""


def available():
    """The servers that are built or installed here, in the order of the table."""
    present = []
    if ROOST.exists():
        present.append("roost")
    if NIO.exists():
        present.append("nio")
    if shutil.which("erl") and (ERLANG_CODE / "ws_echo.beam").exists():
        present.append("erlang")
    return present


def command(name, port, demo):
    """The command line of server `name`, with one scheduler, thread or event loop."""
    if name == "roost":
        line = [ROOST, "serve", "--listen", f"127.0.0.1:{port}", "--schedulers", "1", "--log-level", "error"]
        return line + (["--demo"] if demo else [])
    if name == "nio":
        return [NIO, str(port), "1"]
    return erlang_command("ws_echo", [str(port)])


def erlang_command(module, arguments, schedulers=1):
    return ["erl", "-noshell", "-noinput", "+S", f"{schedulers}:{schedulers}", "+P", "2000000", "+Q", "65536",
            "-pa", ERLANG_CODE, "-run", module, "main", *arguments]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One running server: its process id and port."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port, self.pid = name, process, port, process.pid

    def memory(self):
        """User-space bytes: private dirty pages and anonymous resident pages."""
        return {"private_dirty": kilobytes(self.pid, "smaps_rollup", "Private_Dirty") * 1024,
                "rss_anon": kilobytes(self.pid, "status", "RssAnon") * 1024}

    def check_alive(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with code {self.process.returncode} under load")


def kilobytes(pid, file, key):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise BenchError(f"/proc/{pid}/{file} has no {key}")


@contextlib.contextmanager
def running(name, demo=False, **settings):
    """Starts server `name` on the server core, yields it once it accepts, and ends it. Settings are Roost's keys."""
    port = free_port()
    line = ["taskset", "-c", SERVER_CORE, *map(str, command(name, port, demo))]
    log = open(HERE / ".build" / f"{name}.log", "w")
    environment = os.environ | {f"ROOST_{key.upper()}": str(value) for key, value in settings.items()}
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    try:
        wait_until_listening(name, process, port)
        yield Server(name, process, port)
    finally:
        stop(process)
        log.close()


def wait_until_listening(name, process, port):
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{name} did not start (code {process.returncode}); see Benchmarks/.build/{name}.log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.1)
            return
        time.sleep(0.02)
    raise BenchError(f"{name} did not listen within {START_DEADLINE_SECONDS} s")


def stop(process):
    if process.poll() is not None:
        return
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_SECONDS)


def generator_command(server, mode, path, options):
    line = ["taskset", "-c", GENERATOR_CORE, str(LOADGEN), mode, "127.0.0.1", str(server.port), path,
            "--server-pid", str(server.pid)]
    for key, value in options.items():
        line.append("--" + key.replace("_", "-"))
        if value is not True:
            line.append(str(value))
    return line


def report_of(text, stderr, strict):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError("the load generator reported nothing: " + (stderr.strip() or "no reason given"))
    report = json.loads(lines[-1])
    if strict and report["errors"]:
        raise BenchError(f"{report['errors']} errors: {stderr.strip()}")
    return report


def generate(server, mode, path="/echo", strict=True, **options):
    """Runs the load generator to its end and returns its report; an error in it is raised when `strict`."""
    limit = float(options.get("seconds", 2)) + 90
    done = subprocess.run(generator_command(server, mode, path, options), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=limit)
    server.check_alive()
    return report_of(done.stdout, done.stderr, strict)


class Background:
    """A load generator that runs beside others until `finish`."""

    def __init__(self, server, mode, path, strict, options):
        self.server, self.strict = server, strict
        line = generator_command(server, mode, path, {"until_eof": True, **options})
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def wait_until_ready(self):
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            raise BenchError("connections did not open: " + self.process.stderr.read().strip())
        return int(line.split()[1])

    def finish(self):
        output, errors = self.process.communicate(timeout=60)
        self.server.check_alive()
        return report_of(output, errors, self.strict)


@contextlib.contextmanager
def beside(server, mode, path="/echo", strict=True, **options):
    """Runs a load generator until the block ends; `finish()` inside it returns its report."""
    background = Background(server, mode, path, strict, options)
    try:
        yield background
    finally:
        stop(background.process)
