"""Runs the cases of workers, agents, Ctrl-C, remedies and comparisons: real programs, on ports the kernel picks.

python3 Tests/LoadTester/fleet.py [PATTERN...] runs the cases whose name has one of the patterns. Builds nothing: takes
$LOADTEST and $ROOST, else what was built last for release, else for debug. Closes with "N passed, N failed".
"""

import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Integration"))

import harness  # noqa: E402

import workers  # noqa: E402, F401
import agents  # noqa: E402, F401
import interrupts  # noqa: E402, F401
import remedies  # noqa: E402, F401
import comparisons  # noqa: E402, F401


def main(patterns):
    failed = passed = 0
    for name, function in harness.CASES:
        if patterns and not any(pattern in name for pattern in patterns):
            continue
        begin = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok   {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
