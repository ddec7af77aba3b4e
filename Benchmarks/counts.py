# SPDX-License-Identifier: Apache-2.0
"""The figure `counts`: instructions and allocations per echoed message, which no busy machine alters.

Each load runs twice under Valgrind's callgrind, short and long: what both have in common, the start and the handshakes,
drops out of the difference. The kernel's part is not counted. ROOST_BASELINE=FILE measures another binary beside.
"""
import contextlib
import os
import re
import shutil
import subprocess

import servers
from servers import BenchError

LOADS = {"64 B, 1 in flight": (64, 1), "64 B, 16 in flight": (64, 16), "4 KiB, 1 in flight": (4096, 1)}
SECONDS = (1, 4)
CONNECTIONS = 20
START_DEADLINE_SECONDS = 60
TRIES = 3
ALLOCATIONS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")
DEFINITION = re.compile(r"(c?)fn=\((\d+)\)(?: (.*))?")


def binaries():
    """{name: file without debug information, which Valgrind cannot read}."""
    found = {"roost": servers.ROOST}
    if os.environ.get("ROOST_BASELINE"):
        found["baseline"] = os.environ["ROOST_BASELINE"]
    for name, file in found.items():
        found[name] = servers.HERE / ".build" / f"{name}.counted"
        subprocess.run(["objcopy", "--strip-debug", file, found[name]], check=True)
    return found


def patient_run(*arguments):
    """Valgrind gives up by itself now and then."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(BenchError):
            return counted_run(*arguments)
    return counted_run(*arguments)


def counted_run(binary, size, in_flight, seconds):
    """(messages, instructions, allocations) of one run."""
    port, output = servers.free_port(), servers.HERE / ".build" / "callgrind.out"
    output.unlink(missing_ok=True)
    line = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={output}", binary, "serve", "--listen",
            f"127.0.0.1:{port}", "--schedulers", "1", "--log-level", "error"]
    with contextlib.ExitStack() as ending:
        log = ending.enter_context(open(servers.HERE / ".build" / "callgrind.log", "w"))
        process = subprocess.Popen(["taskset", "-c", servers.SERVER_CORE, *map(str, line)], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        ending.callback(servers.stop_group, process)
        servers.wait_until_listening("valgrind", process, port, START_DEADLINE_SECONDS)
        server = servers.Server("roost", [process], port)
        report = servers.generate(server, "echo", connections=CONNECTIONS, size=size, in_flight=in_flight,
                                  seconds=seconds, warm_up=0.1)
        process.terminate()
        process.wait(START_DEADLINE_SECONDS)
    return (report["received"], *totals(output))


def totals(file):
    """Instructions, and calls of what allocates, in callgrind's file."""
    names, callee, allocations, instructions = {}, None, 0, 0
    for line in file.read_text().splitlines():
        if definition := DEFINITION.match(line):
            is_callee, number, name = definition.groups()
            if name:
                names[number] = name.split("'")[0]
            if is_callee:
                callee = names[number]
        elif line.startswith("calls=") and callee in ALLOCATIONS:
            allocations += int(line[6:].split()[0])
        elif line.startswith(("summary:", "totals:")):
            instructions = int(line.split()[1])
    return instructions, allocations


def measure(options, note):
    """{load: [{"instructions_each": …, "allocations_each": …, "baseline_…": …}]}"""
    if "roost" not in options.servers:
        raise BenchError("roost is not built: make release")
    for tool, package in (("valgrind", "valgrind"), ("objcopy", "binutils")):
        if not shutil.which(tool):
            raise BenchError(f"{tool} is not installed: apt-get install {package}")
    results = {}
    for title, (size, in_flight) in LOADS.items():
        report = {}
        for name, binary in binaries().items():
            short, long = (patient_run(binary, size, in_flight, seconds) for seconds in SECONDS)
            messages, instructions, allocations = (b - a for a, b in zip(short, long))
            if messages <= 0:
                raise BenchError("the longer run echoed no more than the shorter: this machine is too busy")
            prefix = "" if name == "roost" else "baseline_"
            report |= {prefix + "instructions_each": instructions / messages,
                       prefix + "allocations_each": max(0, allocations) / messages}
        note(f"  {title}: " + ", ".join(f"{key} {value:,.3f}" for key, value in report.items()))
        results[title] = [report]
    return results


def rows(found):
    """(head, rows) of the table."""
    has_baseline = any("baseline_instructions_each" in report for (report,) in found.values())
    head = ["echo, under callgrind", "instructions each", "allocations each"]
    body = []
    for title, (report,) in found.items():
        row = [title, f"{report['instructions_each']:,.0f}", f"{report['allocations_each']:.2f}"]
        if has_baseline:
            ratio = report["instructions_each"] / report["baseline_instructions_each"]
            row += [f"{report['baseline_instructions_each']:,.0f}", f"{report['baseline_allocations_each']:.2f}",
                    f"{ratio:.3f} x"]
        body.append(row)
    return head + (["baseline's", "its allocations", "ratio"] if has_baseline else []), body
