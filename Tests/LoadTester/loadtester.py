"""The load tester as a process: what it prints, how it ends."""

import json
import subprocess

from tester import binary

DEADLINE = 120  # seconds that a run may take in all before it counts as hung


def command(*arguments):
    return [binary(), *(str(argument) for argument in arguments)]


def start(*arguments, **options):
    """In the background; both outputs are pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(command(*arguments), **(pipes | options))


def call(*arguments, status=None):
    """Runs to the end; standard output, standard error."""
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    if status is not None:
        assert process.returncode == status, f"status {process.returncode}, not {status}\n{out}\n{err}"
    return out, err


def report(*arguments, status=None):
    """What a run with `--json` finds."""
    out, err = call(*arguments, "--json", "--quiet", status=status)
    try:
        return json.loads(out)
    except ValueError as error:
        raise AssertionError(f"no JSON: {error}\n{out}\n{err}") from error


def milliseconds(found, percentile, part="latency_ns"):
    return found[part][percentile] / 1e6


def error_count(found, part):
    """How often an error whose kind has `part` was met."""
    return sum(error["count"] for error in found["errors"] if part in error["kind"])
