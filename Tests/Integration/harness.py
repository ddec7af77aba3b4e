"""A daemon under test, a client that sees every byte, and the list of cases. Standard library only."""

import base64
import codecs
import collections
import contextlib
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

DEADLINE = 20  # seconds that anything may take before it counts as failed: far beyond what it takes
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
CASES = []


def case(name):
    """Makes a function one case; `run` calls them in the order of their files."""

    def add(function):
        CASES.append((name, function))
        return function

    return add


def eventually(condition, what, seconds=DEADLINE):
    """Waits until `condition` holds; what it returns."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def equal(found, expected, what=""):
    assert found == expected, f"{what}: expected {expected!r}, found {found!r}"


# --- The daemon -------------------------------------------------------------------------------------------------------


def binary(name="roost"):
    """A program of ours: what a variable of its name says, else what was built last for release, else for debug."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    choices = [os.environ.get(name.upper()), f"{root}/.build/release/{name}", f"{root}/.build/debug/{name}"]
    for choice in choices:
        if choice and os.access(choice, os.X_OK):
            return os.path.abspath(choice)
    raise SystemExit(f"{name} is not built: run `swift build --product {name}` first, or set {name.upper()}")


# `environment()`: variables of the next daemon that this thread starts.
AROUND = threading.local()


class Daemon:
    """A fresh `roost serve` on a port of its own. Settings are keys of the configuration file, with underscores."""

    def __init__(
        self,
        *arguments,
        listen=("127.0.0.1:0",),
        descriptors=None,
        config=None,
        log_level="warning",
        environment=None,
        **settings,
    ):
        outer = {key: value for key, value in os.environ.items() if not key.startswith("ROOST_")}
        environment = outer | getattr(AROUND, "environment", dict)() | (environment or {})
        environment |= {"ROOST_" + key.upper(): str(value) for key, value in settings.items()}
        command = [binary(), "serve", "--demo", "--log-level", log_level]
        for address in listen:
            command += ["--listen", address]
        self.log = tempfile.TemporaryFile("w+")
        self.config = None
        if config:
            self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
            self.config.write(config)
            self.config.flush()
            command += ["--config", self.config.name]

        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = subprocess.Popen(
            command + list(arguments),
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
            preexec_fn=limit,
        )
        self.addresses = []
        for line in self.process.stdout:
            if found := re.match(r"listening on (\S+)", line):
                self.addresses.append(found[1])
            elif self.addresses:
                break  # the routes follow all listeners
        else:
            raise AssertionError(f"the daemon did not start: {self.said()}")
        threading.Thread(target=self._drain, daemon=True).start()
        self.ports = collections.Counter()  # of the clients that have connected
        self.address = self.addresses[0]
        self.url = f"ws://{self.address}"
        self.start_rss = self.rss()

    def _drain(self):
        with contextlib.suppress(ValueError, OSError):
            for _ in self.process.stdout:
                pass

    def logged(self):
        """All that it has logged; of a line that is being written, whole characters."""
        return codecs.getincrementaldecoder("utf-8")().decode(os.pread(self.log.fileno(), 1 << 28, 0))

    def said(self):
        return self.logged()[-4000:]

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_alive(self):
        return self.process.poll() is None

    def connected(self, client):
        """Notes the port of a socket that has connected, for `causes`."""
        if client.family != socket.AF_UNIX:
            self.ports[client.getsockname()[1]] += 1

    def claims(self, client, port):
        """Notes that a socket has claimed, by a proxy's header, to come from `port`: so the log calls it from now on.

        None: from a unix socket.
        """
        if client.family != socket.AF_UNIX:
            self.ports[client.getsockname()[1]] -= 1
        if port is not None:
            self.ports[port] += 1

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def ticks(self):
        """User and system time, in clock ticks."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def echoes(self, path="/echo"):
        with Client(self, path) as client:
            client.echo(b"are you there?")
        return True

    def stop(self):
        """Drains it; it must end by itself and say that all went well."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not drain: {self.said()}") from None
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            assert (
                self.is_alive or self.process.returncode == 0
            ), f"the daemon ended with {self.process.returncode}: {self.said()}"
        try:
            code = self.stop()
            if kind is None:
                equal(code, 0, f"exit code; the daemon said: {self.said()}")
        finally:
            self.log.close()
            if self.config:
                self.config.close()


def still_well(daemon, growth=48 << 20):
    """After a group of cases: alive, echoing, and not fatter than it may be."""
    assert daemon.is_alive, f"the daemon ended: {daemon.said()}"
    daemon.echoes()
    eventually(
        lambda: daemon.rss() - daemon.start_rss < growth, f"memory came back: {daemon.start_rss} -> {daemon.rss()}"
    )


# --- A client that sees every byte ------------------------------------------------------------------------------------


def mask(payload, key):
    size = len(payload)
    if not size:
        return b""
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


def frame(opcode, payload=b"", fin=True, key=b"\x12\x34\x56\x78", rsv=0):
    """A client's frame; `key` None: not masked."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    flag = 0x80 if key is not None else 0
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 65_536:
        head = bytes([first, flag | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, flag | 127]) + struct.pack(">Q", size)
    return head + (key + mask(payload, key) if key is not None else payload)


def request(path="/echo", headers=(), method="GET", version="HTTP/1.1", leave_out=(), host="localhost"):
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    }
    for name in leave_out:
        del fields[name]
    lines = [f"{method} {path} {version}"] + [f"{name}: {value}" for name, value in fields.items()]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Ended(Exception):
    """The server has ended the stream."""


class Socket:
    """A socket whose reads have a deadline and a buffer."""

    def __init__(self, daemon, address=None, receive_buffer=None, source=None):
        address = address or daemon.address
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            target = address[5:]
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target = (host.strip("[]"), int(port))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(DEADLINE)
        self.buffer = b""
        try:
            self.socket.connect(target)
        except ConnectionResetError:
            daemon.connected(self.socket)  # it was accepted, and has ended before we could look
            raise
        daemon.connected(self.socket)

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Ended
        self.buffer += data

    def take(self, count):
        if count > len(self.buffer):
            parts, size = [self.buffer], len(self.buffer)
            while size < count:
                data = self.socket.recv(1 << 20)
                if not data:
                    self.buffer = b"".join(parts)
                    raise Ended
                parts.append(data)
                size += len(data)
            self.buffer = b"".join(parts)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def has_data(self):
        """Whether something has come that was not taken yet."""
        return bool(self.buffer or select.select([self.socket], [], [], 0)[0])

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value for name, value in fields.items()}

    def answer(self, is_head=False):
        """Status, headers and body of an answer after which the server ends the stream; to HEAD there is no body."""
        status, fields = self.head()
        body = b"" if is_head else self.take(int(fields.get("content-length", 0)))
        self.ended()
        return status, fields, body

    def ended(self):
        """The server ends the stream, with nothing before it."""
        try:
            if not self.buffer:
                self.more()
        except (Ended, ConnectionResetError):
            return
        raise AssertionError(f"expected the end, found {self.buffer[:100]!r}")

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Client(Socket):
    """An open WebSocket."""

    def __init__(
        self, daemon, path="/echo", address=None, receive_buffer=None, headers=(), with_request=b"", source=None
    ):
        super().__init__(daemon, address, receive_buffer, source)
        self.send(request(path, headers) + with_request)
        status, self.fields = self.head()
        equal(status, 101, f"status of {path}")

    def send_frame(self, opcode, payload=b"", **options):
        self.send(frame(opcode, payload, **options))

    def receive(self):
        """The next frame, as (opcode, payload). Whole frames only, as a server sends them."""
        first, second = self.take(2)
        assert first & 0x80 and not first & 0x70 and not second & 0x80, f"header {first:#x} {second:#x}"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.take(8))[0]
        return first & 0xF, self.take(size)

    def expect(self, opcode, payload):
        found = self.receive()
        if found != (opcode, payload):
            raise AssertionError(f"expected {opcode} {payload[:80]!r}, found {found[0]} {found[1][:80]!r}")

    def echo(self, payload=b"echo", opcode=TEXT):
        self.send_frame(opcode, payload)
        self.expect(opcode, payload)

    def receive_close(self):
        """The code of the close frame that comes next, pings apart."""
        while True:
            opcode, payload = self.receive()
            if opcode in (PING, PONG):
                continue
            equal(opcode, CLOSE, f"opcode of {payload[:80]!r}")
            return struct.unpack(">H", payload[:2])[0] if payload else None

    def closes_with(self, code):
        equal(self.receive_close(), code, "close code")
        with contextlib.suppress(OSError):
            self.send_frame(CLOSE, struct.pack(">H", code))
        self.ended()

    def close_properly(self, code=1000):
        self.send_frame(CLOSE, struct.pack(">H", code))
        equal(self.receive_close(), code, "code of the answer")
        self.ended()
        self.socket.close()


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


def together(count, body):
    """Runs `body(index)` in so many threads; the first error of any."""
    errors = []
    environment = getattr(AROUND, "environment", dict)

    def run(index):
        AROUND.environment = environment
        try:
            body(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * DEADLINE)
        assert not thread.is_alive(), "a thread did not end"
    if errors:
        raise errors[0]
