"""Runs the integration cases. See `run`.

`--faults SEED`: those that `faulted` has, under faults of that seed.
"""

import os
import sys

import harness
import runner

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
    cases = runner.load(MODULES)
    patterns = sys.argv[1:]
    if patterns[:1] == ["--faults"]:
        cases = list(sys.modules["faulted"].under(int(patterns[1])))
        patterns = patterns[2:]
    runner.run(cases, patterns, f"integration with {os.path.relpath(harness.binary())}")


main()
