#!/usr/bin/env python3
"""verdict.py OUTDIR: what a run of the cases comes to, stricter than the suite's own judge.

A case passes when its behaviour and its close are OK or INFORMATIONAL. NON-STRICT is let through in 6.4.1-4 only: they
judge how early invalid UTF-8 is refused, and one packet may carry all of it.
"""
import json
import pathlib
import re
import sys

GOOD = {"OK", "INFORMATIONAL"}
MAY_BE_LATE = {"6.4.1", "6.4.2", "6.4.3", "6.4.4"}


def passes(case, result):
    allowed = GOOD | ({"NON-STRICT"} if case in MAY_BE_LATE else set())
    return result["behavior"] in allowed and result["behaviorClose"] in GOOD


def results_of(out):
    """Verdicts by case: of a server under test, or of the one client that a server of the suite has seen."""
    if (out / "merged.json").exists():
        return json.loads((out / "merged.json").read_text())
    index = json.loads((out / "index.json").read_text()) if (out / "index.json").exists() else {}
    return next(iter(index.values()), {})


def main():
    out = pathlib.Path(sys.argv[1])
    log = (out / "run.txt").read_text() if (out / "run.txt").exists() else ""
    results, failed = results_of(out), 0
    told = re.search(r"(\d+) cases were run", log)  # by a client under test
    if told and int(told[1]) != len(results):
        failed += 1
        print(f"failed: {told[1]} cases were run, {len(results)} have a verdict")
    for case in sorted(results, key=lambda name: [int(part) for part in name.split(".")]):
        result = results[case]
        if not passes(case, result):
            failed += 1
            print(f"failed: case {case}: {result['behavior']}, close {result['behaviorClose']} "
                  f"(code {result['remoteCloseCode']}); its report is in {out}")
    missing = [name for line in log.splitlines() if line.startswith("FAILED never ran:") for name in line.split()[3:]]
    if missing:
        print("failed: never ran: " + " ".join(missing))
    if not results:
        failed += 1
        print("failed: no case ran:\n" + "\n".join(log.splitlines()[-20:]))
    print(f"{max(len(results) - failed, 0)} passed, {failed + len(missing)} failed")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
