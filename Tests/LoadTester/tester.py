"""Starts the load tester, and servers that are not ours: what it prints, how it ends."""

import contextlib
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import threading
import time

from harness import DEADLINE, binary, equal, eventually

TOKEN = "0123456789abcdef0123456789abcdef"
RUN_DEADLINE = 120  # seconds that a run may take in all before it counts as hung


class Tester:
    """A load tester in a process group of its own, as a shell starts it; `prefix`: by another program."""

    def __init__(self, *arguments, token=TOKEN, prepare=None, session=True, prefix=(), stdout=subprocess.PIPE):
        environment = dict(os.environ, ROOST_LOADTEST_TOKEN=token) if token else None
        self.process = subprocess.Popen(
            [*prefix, binary("loadtest"), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=prepare,
            start_new_session=session,
        )
        self.heard = ""

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """The pids of its worker processes."""
        found = []
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{self.pid}/task/{task}/children") as file:
                    found += [int(pid) for pid in file.read().split()]
        return found

    def interrupt(self):
        """Ctrl-C: the whole group hears it."""
        os.killpg(self.pid, signal.SIGINT)

    def says(self, text):
        """Waits until it has said this on standard error."""
        while text not in self.heard:
            ready, _, _ = select.select([self.process.stderr], [], [], DEADLINE)
            piece = os.read(self.process.stderr.fileno(), 65536) if ready else b""
            assert piece, f"it did not say {text!r}: {self.heard}"
            self.heard += piece.decode(errors="replace")

    def outputs(self):
        """Runs to the end: exit code, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=RUN_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end: {self.process.communicate()}") from None
        return self.process.returncode, out, self.heard + err

    def finish(self):
        """Exit code; what it printed, with single blanks, as it breaks lines to fit a terminal; its complaints."""
        code, out, err = self.outputs()
        return code, " ".join(out.split()), err

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Agent(Tester):
    def __init__(self, *arguments, listen="127.0.0.1:0", **options):
        super().__init__("agent", "--listen", listen, *arguments, **options)
        line = self.process.stderr.readline()
        found = re.search(r"listens on (\S+)", line)
        assert found, f"the agent did not start: {line}"
        self.address = found[1]
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(ValueError, OSError):
            for line in self.process.stderr:
                self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(DEADLINE), 0, "the agent's exit code")
        self.process.stdout.close()


def load(*arguments, **options):
    """Runs it to its end; see `finish`."""
    return Tester(*arguments, **options).finish()


def call(*arguments, status):
    """Runs it to its end, which has to be with `status`: standard output, standard error."""
    code, out, err = Tester(*arguments).outputs()
    equal(code, status, f"{out}\n{err}")
    return out, err


def report(*arguments, status=None):
    """What a run with `--json` finds; `status` None: however it ends."""
    code, out, err = Tester(*arguments, "--json", "--quiet").outputs()
    assert status in (None, code), f"status {code}, not {status}\n{out}\n{err}"
    try:
        return json.loads(out)
    except ValueError as error:
        raise AssertionError(f"no JSON: {error}\n{out}\n{err}") from error


def milliseconds(found, percentile):
    """A percentile of a report's latency."""
    return found["latency_ns"][percentile] / 1e6


def error_count(found, part):
    """How often an error whose kind has `part` was met."""
    return sum(error["count"] for error in found["errors"] if part in error["kind"])


def figures(text):
    """Of a report: connections opened and messages completed."""
    opened = re.search(r"connections ([\d ]+) of", text)
    completed = re.search(r"round trips (\d[\d ]*)", text)
    assert opened, f"no report: {text}"
    return int(opened[1].replace(" ", "")), int(completed[1].replace(" ", "")) if completed else 0


def is_working(daemon):
    """Waits until messages keep the daemon busy: all clients have connected by then."""
    before = daemon.ticks()
    eventually(lambda: daemon.ticks() >= before + 10, "messages")


def state_of(pid):
    """The letter of proc_pid_stat(5); X where the process is no more."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def is_gone(pid):
    """Ended, or a zombie that its parent has not collected."""
    return state_of(pid) in "ZX"


def all_gone(pids):
    eventually(lambda: all(is_gone(pid) for pid in pids), f"the end of {pids}")


class Relay:
    """A way to another address, which may change what passes, and takes `seconds` each way."""

    def __init__(self, address, change=lambda data: data, seconds=0):
        host, port = address.rsplit(":", 1)
        self.target = host, int(port)
        self.change = change
        self.seconds = seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(self.target)
                for source, sink in [(near, far), (far, near)]:
                    # As on a long line, the next bytes set off before the last have arrived.
                    line = queue.SimpleQueue()
                    threading.Thread(target=self._take, args=[source, line], daemon=True).start()
                    threading.Thread(target=self._give, args=[line, sink], daemon=True).start()

    def _take(self, source, line):
        data = b"-"
        while data:
            data = b""
            with contextlib.suppress(OSError):
                data = source.recv(65536)
            line.put((time.monotonic() + self.seconds, data))

    def _give(self, line, sink):
        with contextlib.suppress(OSError):
            while True:
                arrival, data = line.get()
                time.sleep(max(arrival - time.monotonic(), 0))
                if not data:
                    return sink.shutdown(socket.SHUT_RDWR)
                sink.sendall(self.change(data))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class Server:
    """Accepts, reads, and answers each connection's first bytes with `answer`, which may be nothing."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.answer = answer
        self.count = 0
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.held.append(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    return
                request += piece
            if answer := self.answer(request):
                connection.sendall(answer)
            self.count += 1
            while connection.recv(65536):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.held:
            connection.close()
