"""Runs cases and counts them: what the integration tests and those of the load tester have in common."""

import importlib
import os
import time
import traceback

import harness


class NotChecked(Exception):
    """What this machine cannot show; says what it lacks."""


def load(modules):
    """(label, function) of every case in these modules, in their order."""
    for module in modules:
        importlib.import_module(module)
    return [(f"{function.__module__}: {name}", function) for name, function in harness.CASES]


def run(cases, patterns, subject):
    """Runs the cases whose label has one of the patterns, all without patterns, and ends the program.

    Closes with "N passed, N failed"; the exit status is 1 where one failed or none was run.
    """
    passed, failed, unchecked = 0, [], []
    start = time.monotonic()
    for label, function in cases:
        if patterns and not any(pattern in label for pattern in patterns):
            continue
        begin = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok    {time.monotonic() - begin:6.2f} s  {label}", flush=True)
        except NotChecked as lack:
            unchecked.append(f"{label}: {lack}")
        except KeyboardInterrupt:
            raise
        except BaseException:
            failed.append(label)
            print(f"FAIL  {time.monotonic() - begin:6.2f} s  {label}\n{traceback.format_exc()}", flush=True)
    for label in failed:
        print(f"failed: {label}")
    for label in unchecked:
        print(f"not checked: {label}")
    print(f"{subject} took {time.monotonic() - start:.0f} s")
    if unchecked:
        print(f"{len(unchecked)} not checked")
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    # Threads that wait for a server are left behind.
    os._exit(1 if failed or not passed else 0)
