"""The daemon under Tests/Faults: building the library, writing scripts, counting what was injected."""

import contextlib
import functools
import os
import shutil
import struct
import subprocess
import tempfile

import harness

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SOURCES = [os.path.join(ROOT, "Tests", "Faults", name) for name in ("faults.c", "script.c", "script.h")]
LIBRARY = os.path.join(ROOT, ".build", "faults.so")
LINE = struct.Struct("24sQ")  # report_line of faults.c


@functools.cache
def library():
    """The shared library, built when it is older than its sources."""
    if os.path.exists(LIBRARY) and os.path.getmtime(LIBRARY) >= max(map(os.path.getmtime, SOURCES)):
        return os.path.abspath(LIBRARY)
    os.makedirs(os.path.dirname(LIBRARY), exist_ok=True)
    compiler = shutil.which("cc") or shutil.which("clang")
    fresh = f"{LIBRARY}.{os.getpid()}"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC", "-o", fresh]
    subprocess.run(command + [name for name in SOURCES if name.endswith(".c")], check=True)
    os.rename(fresh, LIBRARY)
    return os.path.abspath(LIBRARY)


class Faults:
    """A script, and what came of it in every daemon that ran under it."""

    def __init__(self, script):
        self.script = script
        self.folder = tempfile.TemporaryDirectory()
        self.reports = []

    def environment(self):
        """For the next daemon."""
        report = os.path.join(self.folder.name, f"report-{len(self.reports)}")
        self.reports.append(report)
        # Daemons side by side on a busy machine are slow: no symbols are read, and kept, for a log line about that.
        quiet = {"ROOST_LONG_SCHEDULE": "10s"}
        return quiet | {"LD_PRELOAD": library(), "ROOST_FAULTS": f"{self.script};report={report}"}

    def counts(self):
        """How often what was injected, as {"recv EINTR": 3}. Right at any time."""
        found = {}
        for report in filter(os.path.exists, self.reports):
            with open(report, "rb") as file:
                for name, count in LINE.iter_unpack(file.read()):
                    if count:
                        name = name.rstrip(b"\0").decode()
                        found[name] = found.get(name, 0) + count
        return found

    def injected(self, *names):
        """Those of `names` must have happened, each; without names: anything."""
        counts = self.counts()
        for name in names:
            assert counts.get(name), f"no {name} was injected by {self.script!r}: the test tested nothing; {counts}"
        assert counts, f"nothing was injected by {self.script!r}: the test tested nothing"
        return counts


@contextlib.contextmanager
def faults(script):
    """Runs every daemon that this thread starts under `script`."""
    around = Faults(script)
    harness.AROUND.environment = around.environment
    try:
        yield around
    except BaseException as error:
        error.add_note(f"under ROOST_FAULTS={script!r}, which injected {around.counts()}")
        raise
    finally:
        del harness.AROUND.environment
        around.folder.cleanup()
