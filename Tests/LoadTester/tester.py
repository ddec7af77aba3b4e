"""Starts the load tester, and servers that are not ours."""

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

from harness import DEADLINE, equal, eventually

TOKEN = "0123456789abcdef0123456789abcdef"


def binary():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    choices = [os.environ.get("LOADTEST"), f"{root}/.build/release/loadtest", f"{root}/.build/debug/loadtest"]
    for choice in choices:
        if choice and os.access(choice, os.X_OK):
            return os.path.abspath(choice)
    raise SystemExit("loadtest is not built: run `swift build --product loadtest` first, or set LOADTEST")


class NotChecked(Exception):
    """What this machine cannot show; says what it lacks."""


class Tester:
    """A load tester in a process group of its own, as a shell starts it; `prefix`: by another program."""

    def __init__(self, *arguments, token=TOKEN, prepare=None, session=True, prefix=()):
        environment = dict(os.environ, ROOST_LOADTEST_TOKEN=token) if token else None
        self.process = subprocess.Popen(
            [*prefix, binary(), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=prepare,
            start_new_session=session,
        )

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

    def finish(self, seconds=60):
        """Exit code; what it printed, with single blanks, as it breaks lines to fit a terminal; its complaints."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end: {self.process.communicate()}") from None
        return self.process.returncode, " ".join(out.split()), err

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
    """Runs it to its end."""
    return Tester(*arguments, **options).finish()


def figures(text):
    """Of a report: connections opened and messages completed."""
    opened = re.search(r"connections ([\d ]+) of", text) or re.search(r"clients: (\d+) opened", text)
    completed = re.search(r"round trips (\d[\d ]*)", text) or re.search(r"opened, (\d+) completed", text)
    assert opened, f"no report: {text}"
    return int(opened[1].replace(" ", "")), int(completed[1].replace(" ", "")) if completed else 0


def is_working(daemon):
    """Waits until messages keep the daemon busy: all clients have connected by then."""
    before = daemon.ticks()
    eventually(lambda: daemon.ticks() >= before + 10, "messages")


def is_gone(pid):
    """Ended, or a zombie that its parent has not collected."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


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
