#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check.py BUILT_DIRECTORY: runs the examples and talks to them. Closes with `N passed, N failed`."""
import asyncio
import pathlib
import re
import subprocess
import sys

import websockets

BUILT = pathlib.Path(sys.argv[1])
DEADLINE = 30


def output_of(name, *arguments):
    done = subprocess.run([BUILT / name, *arguments], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, f"{name} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def sleepers():
    assert output_of("sleepers", "2000", "1") == "2000 processes slept 1 s\n"


def spinner():
    assert output_of("spinner").split("\n")[:5] == [f"still here: {number}" for number in range(1, 6)]


def catchall():
    lines = output_of("catchall").splitlines()
    assert lines[0] == "Hello, Ada!" and lines[2] == "Hello, Joe!", lines
    assert re.fullmatch(r"unexpected message to <\d+\.\d+>: 42", lines[1]), lines


def restarts():
    lines = output_of("restarts").splitlines()
    runs = [line for line in lines if line.startswith("flaky runs as")]
    reports = [line.rsplit("; ", 1)[1] for line in lines if line.startswith("supervisor")]
    assert len(set(runs)) == 4, lines
    assert reports == ["permanent"] * 4 + ["giving up"], lines


def handler():
    server = subprocess.Popen([BUILT / "counter", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        found = (re.search(r"127\.0\.0\.1:(\d+)", line) for line in server.stderr)
        port = next(int(match[1]) for match in found if match)
        asyncio.run(asyncio.wait_for(talk(f"ws://127.0.0.1:{port}/count"), DEADLINE))
    finally:
        server.kill()
        server.wait()


async def ask(client, text):
    await client.send(text)
    return await client.recv()


async def talk(url):
    """One client crashes its handler, sixteen make theirs loop; the first does not notice."""
    async with websockets.connect(url) as good, websockets.connect(url) as crashing:
        assert await ask(good, "a") == "1: a"
        assert await ask(crashing, "x") == "1: x"
        await crashing.send("crash")
        assert await ask(crashing, "y") == "1: y", "a fresh handler on the same socket"
        looping = [await websockets.connect(url) for _ in range(16)]
        for client in looping:
            await client.send("loop")
        for number in range(2, 200):
            assert await ask(good, "b") == f"{number}: b"
        assert await ask(crashing, "z") == "2: z"
        for client in looping:
            client.transport.abort()


def main():
    failures = 0
    checks = [sleepers, spinner, catchall, restarts, handler]
    for check in checks:
        try:
            check()
            print(f"ok   {check.__name__}")
        except Exception as error:  # the others are still to be run
            failures += 1
            print(f"FAIL {check.__name__}: {type(error).__name__}: {error}")
    print(f"{len(checks) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
