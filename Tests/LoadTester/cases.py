"""Runs the cases of the load tester. See `run`."""

import importlib
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Integration"))
import harness  # noqa: E402
from tester import NotChecked  # noqa: E402

MODULES = ["proofs", "reports", "workers", "agents", "interrupts", "remedies", "comparisons"]


def main():
    for module in MODULES:
        importlib.import_module(module)
    patterns = sys.argv[1:]
    passed, failed, unchecked = 0, [], []
    start = time.monotonic()
    for name, function in harness.CASES:
        label = f"{function.__module__}: {name}"
        if patterns and not any(pattern in label for pattern in patterns):
            continue
        begin = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok    {time.monotonic() - begin:6.2f} s  {label}", flush=True)
        except NotChecked as lack:
            unchecked.append(f"{label}: {lack}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed.append(label)
            print(f"FAIL  {time.monotonic() - begin:6.2f} s  {label}\n{traceback.format_exc()}", flush=True)
    for label in failed:
        print(f"failed: {label}")
    for label in unchecked:
        print(f"not checked: {label}")
    print(f"the load tester's cases took {time.monotonic() - start:.0f} s")
    if unchecked:
        print(f"{len(unchecked)} not checked")
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    os._exit(1 if failed or not passed else 0)


main()
