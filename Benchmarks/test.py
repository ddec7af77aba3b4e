#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of what measures: the load generator must notice a server that is wrong, the report one figure that is.

test.py LOADGEN      closes with "N passed, N failed"
"""
import base64
import contextlib
import hashlib
import io
import json
import pathlib
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback

import plots
import quantities
import readme
import report
import tables

WORSE_AT = 20  # which message a server gets wrong, for the third client of the room
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
GENERATOR_SECONDS_MAX = 60


class Room(socketserver.ThreadingTCPServer):
    """A server that sends what a client sends to all others, and does it wrong in one way."""
    daemon_threads, request_queue_size = True, 100

    def __init__(self, fault):
        super().__init__(("127.0.0.1", 0), Client)
        self.fault, self.clients, self.lock, self.count = fault, [], threading.Lock(), 0
        self.held = None  # a message kept back, and who sent it

    def deliver(self, sender, payload):
        """A message to all but its sender."""
        with self.lock:
            self.count += 1
            for index, client in enumerate(self.clients):
                if client is not sender or self.fault == "sender too":
                    for frame in self.altered(sender, payload) if index == 2 else [payload]:
                        client.send(frame)

    def altered(self, sender, payload):
        """What the third client gets for one message."""
        if self.fault == "late" and self.count == 1:
            return []  # as if it were not in the room yet
        if self.held and sender is self.held[0]:  # only one publisher's messages have an order among each other
            earlier, self.held = self.held[1], None
            return [payload, earlier]
        if self.count != WORSE_AT:
            return [payload]
        if self.fault == "swapped":
            self.held = sender, payload
        middle = len(payload) // 2
        return {"missing": [], "swapped": [], "twice": [payload, payload], "shorter": [payload[:-1]],
                "altered": [payload[:middle] + b"#" + payload[middle + 1:]]}.get(self.fault, [payload])


class Client(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):
            self.upgrade()
            while frame := self.read_frame():
                self.server.deliver(self, frame)

    def upgrade(self):
        key = b""
        while (line := self.rfile.readline().strip()):
            if line.lower().startswith(b"sec-websocket-key:"):
                key = line.split(b":")[1].strip()
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest())
        with self.server.lock:  # before its answer, so that it misses nothing afterwards
            self.server.clients.append(self)
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def read_frame(self):
        head = self.rfile.read(6)
        if len(head) < 6:
            return None
        masked = self.rfile.read(head[1] & 0x7f)  # 125 bytes at most
        return bytes(byte ^ head[2 + index % 4] for index, byte in enumerate(masked))

    def send(self, payload):
        with contextlib.suppress(OSError):
            self.request.sendall(bytes([0x82, len(payload)]) + payload)


def fanout(loadgen, fault, seconds):
    """The generator's exit code, what it reported, and what it said."""
    with Room(fault) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        line = [loadgen, "fanout", "127.0.0.1", str(server.server_address[1]), "/room", "--connections", "10",
                "--publishers", "2", "--in-flight", "4", "--warm-up", "0.05", "--seconds", seconds]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=GENERATOR_SECONDS_MAX)
        finally:
            server.shutdown()
            thread.join()
    return done.returncode, json.loads(done.stdout), done.stderr


def right_server(loadgen, fault):
    code, found, said = fanout(loadgen, fault, seconds="1")
    expect(code == 0 and found["errors"] == 0, f"code {code}, {found['errors']} errors: {said}")
    expect(found["messages"] > 0, "no message")
    expect(abs(found["count"] - 10 * found["messages"]) <= 10 * 2 * 4, f"{found['count']} deliveries")


def wrong_server(loadgen, fault, reason):
    code, found, said = fanout(loadgen, fault, seconds="30")  # it ends at the first error
    expect(code == 1 and found["errors"] > 0, f"code {code}, {found['errors']} errors")
    expect(reason in said, f"said {said!r}")


def long_path(loadgen):
    """A request that has no room is refused, and not sent with what lies behind it in memory."""
    with Room("as it is") as server:
        line = [loadgen, "echo", "127.0.0.1", str(server.server_address[1]), "/" + 2_000 * "a", "--seconds", "1"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=GENERATOR_SECONDS_MAX)
    expect(done.returncode == 2 and "PATH is too long" in done.stderr, f"code {done.returncode}, said {done.stderr!r}")


def stored_figures():
    """The report is what the stored results say, and says so."""
    code, said = checked([])
    expect(code == 0, said)


def altered_figure(name):
    """One digit altered by hand, in a copy of all that is written."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for part in ("Benchmarks/results", "docs/benchmarks"):
            shutil.copytree(report.ROOT / part, root / part)
        for file in ("README.md", "docs/benchmarks.md"):
            shutil.copy(report.ROOT / file, root / file)
        code, said = checked(["--root", root])
        expect(code == 0, f"the copy is refused: {said}")
        text = (root / name).read_text()
        place = text.index("100 connections") if name != "README.md" else text.index(report.BEGIN) + 40
        digit = next(index for index in range(place, len(text)) if text[index].isdigit())
        (root / name).write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1:])
        code, said = checked(["--root", root])
        expect(code == 1 and said.startswith(name + ":"), f"code {code}, said {said!r}")


def checked(options):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = report.main(["--check", *map(str, options)])
    return code, said.getvalue()


def written(value, unit, text):
    found = unit.text(value)
    expect(found == text, f"{value} is written {found}")


def paired():
    ours = [{"round": 1, "rate": 30}, {"round": 2, "rate": 20}, {"round": 3, "rate": 9}]
    theirs = [{"round": 1, "rate": 10}, {"round": 3, "rate": 3}]
    expect(quantities.ratios(ours, theirs, "rate") == [3, 3], "a round without its pair counts")
    expect(quantities.spread([3, 1, 2], quantities.COUNT) == "2 (1 – 3)", "no spread")
    expect(quantities.spread([2, 2], quantities.COUNT) == "2", "a spread of nothing")


def unmeasured():
    """Without results there are no tables, and a part of them makes no report fail."""
    expect("|" not in readme.figures({}), "a table of nothing")
    files = {figure: {"results": {}, "versions": {}, "machine": {"cpu": "A", "cores": 2, "kernel": "6.1"},
                      "date": "2026-01-02"} for figure in ("echo64x1", "fanout1", "runtime", "idle", "loadtester")}
    expect("| echo 64 B, 100 connections, 1 in flight | – | – | – |" in readme.figures(files), "no dash")


def drawn():
    bar = plots.Bar("a & b", [1.0, 2.0, 3.0], True)
    plot = plots.Plot("Title", "note", [plots.Panel("panel", quantities.COUNT, [bar, bar._replace(values=[])])])
    text = plots.draw(plot)
    expect(text == plots.draw(plot), "drawn twice, two files")
    expect("a &amp; b" in text and text.count('class="ours"') == 1, text)


def known_figures():
    """Each figure is in one group, so that none is measured and then left out."""
    import figures
    grouped = [figure for group in tables.GROUPS for figure in group.figures]
    expect(sorted(grouped) == sorted(figures.FIGURES), "figures and groups differ")


def expect(is_met, otherwise):
    if not is_met:
        raise AssertionError(otherwise)


def cases(loadgen):
    yield from ((f"fan-out: a server that is right, {fault}", right_server, loadgen, fault)
                for fault in ("as it is", "sender too", "late"))
    order, content = "missing, comes twice or out of order", "differs from what was published"
    yield from ((f"fan-out: a delivery {fault}", wrong_server, loadgen, fault, reason) for fault, reason in (
        ("missing", order), ("twice", order), ("swapped", order), ("shorter", content), ("altered", content)))
    yield "a path that has no room", long_path, loadgen
    yield "report: as stored", stored_figures
    yield from ((f"report: a digit of {name} altered", altered_figure, name)
                for name in ("README.md", "docs/benchmarks.md", "docs/benchmarks/echo.svg"))
    yield from ((f"report: {text}", written, value, unit, text) for value, unit, text in (
        (1_946_752, quantities.THOUSANDS, "1,947 k"), (99_940, quantities.THOUSANDS, "99.9 k"),
        (99_960, quantities.THOUSANDS, "100 k"), (9_996, quantities.THOUSANDS, "10.0 k"),
        (35.6, quantities.MILLISECONDS, "0.04 ms"), (0, quantities.MILLISECONDS, "0.00 ms"),
        (527.4, quantities.BYTES, "527 B"), (None, quantities.BYTES, quantities.NOTHING)))
    yield "report: ratios of rounds, and their spread", paired
    yield "report: nothing measured", unmeasured
    yield "report: plots", drawn
    yield "report: every figure has its group", known_figures


def main():
    failed = 0
    all_cases = list(cases(sys.argv[1]))
    for name, test, *arguments in all_cases:
        try:
            test(*arguments)
        except Exception as error:  # any: the others run all the same
            failed += 1
            expected = isinstance(error, AssertionError)
            print(f"{name}: {error}" if expected else f"{name}:\n{traceback.format_exc()}")
    print(f"{len(all_cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
