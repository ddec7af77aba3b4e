"""Runs the integration cases. See `run`.

`--faults SEED`: those that `faulted` has, under faults of that seed.
"""

import importlib
import os
import sys
import time
import traceback

import harness

MODULES = [
    "handshake",
    "frames",
    "closing",
    "keepalive",
    "clients",
    "faults",
    "crashes",
    "hogs",
    "slow",
    "broadcast",
    "listening",
    "draining",
    "idle",
    "tls",
    "compression",
    "doors",
    "requests",
    "hostile_frames",
    "hostile_text",
    "hostile_sizes",
    "hostile_slow",
    "hostile_ends",
    "hostile_2026",
    "hostile_compressed",
    "hostile_requests",
    "hostile_doors",
    "hostile_tls",
    "faultlayer",
    "malign",
    "faulted",
]


def main():
    # The cases sleep nowhere, but a hang must not hold up a build.
    for module in MODULES:
        importlib.import_module(module)
    patterns = sys.argv[1:]
    cases = [(f"{function.__module__}: {name}", function) for name, function in harness.CASES]
    if patterns[:1] == ["--faults"]:
        cases = list(sys.modules["faulted"].under(int(patterns[1])))
        patterns = patterns[2:]
    passed, failed = 0, []
    start = time.monotonic()
    for label, function in cases:
        if patterns and not any(pattern in label for pattern in patterns):
            continue
        begin = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok    {time.monotonic() - begin:6.2f} s  {label}", flush=True)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed.append(label)
            print(f"FAIL  {time.monotonic() - begin:6.2f} s  {label}\n{traceback.format_exc()}", flush=True)
    for label in failed:
        print(f"failed: {label}")
    print(f"integration took {time.monotonic() - start:.0f} s with {os.path.relpath(harness.binary())}")
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    # Threads that wait for a server are left behind.
    os._exit(1 if failed or not passed else 0)


main()
