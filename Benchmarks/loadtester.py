# SPDX-License-Identifier: Apache-2.0
"""The figures of Roost's own load tester: how fast its clients echo, beside the C generator's, and what idle ones need.

The server is Roost on core 0; load tester and C generator take turns on core 1 against the same server.
"""
import contextlib
import json
import subprocess

import servers
from servers import BenchError, generate

CONNECTIONS, SIZE, IN_FLIGHT = 100, 64, (1, 16)
IDLE_CONNECTIONS, IDLE_WORKERS = 19_000, (1, 4)
MANY_CONNECTIONS, MANY_PROCESSES = 250_000, 14  # as many servers: a process may hold 20,000 descriptors
SOURCES = ["127.0.0.1", "127.0.0.2"]  # one address has ports for 28,000 connections at most


def run(server, test, *options, seconds, others=()):
    """Runs `loadtest` on the generator's core and returns its report."""
    urls = [f"ws://127.0.0.1:{each.port}/echo" for each in (server, *others)]
    line = ["taskset", "-c", servers.GENERATOR_CORE, servers.LOADTEST, test, *urls, "--json", "--quiet", *options]
    try:
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=seconds + 90)
    except subprocess.TimeoutExpired:
        raise BenchError(f"loadtest {test} did not end in time") from None
    server.check_alive()
    with contextlib.suppress(json.JSONDecodeError):
        report = json.loads(done.stdout)
        if report["errors"] or done.returncode:
            raise BenchError(f"loadtest {test} had errors: {json.dumps(report['errors'])[:300]}")
        return report
    raise BenchError(f"loadtest {test} reported nothing: {(done.stderr or done.stdout).strip()[:300]}")


def echo(server, in_flight, seconds):
    """As the C generator reports it."""
    found = run(server, "echo", "--connections", CONNECTIONS, "--size", SIZE, "--in-flight", in_flight, "--duration",
                seconds, "--warmup", 0.5, "--schedulers", 1, "--server-pid", server.pids[0], seconds=seconds)
    return {"per_second": found["rate"], "per_cpu_second": found["round_trips_per_server_cpu_second"],
            "p50_us": found["latency_ns"]["p50"] / 1e3, "p99_us": found["latency_ns"]["p99"] / 1e3,
            "generator_cpu_share": sum(found["generator_cpu"])}


def compare(server, seconds):
    """{generator and its load: report}, each in turn on one server."""
    reports = {}
    for in_flight in IN_FLIGHT:
        reports[f"loadtest, {in_flight} in flight"] = echo(server, in_flight, seconds)
        reports[f"loadgen, {in_flight} in flight"] = generate(
            server, "echo", seconds=seconds, connections=CONNECTIONS, size=SIZE, in_flight=in_flight)
    for report in reports.values():
        if report["generator_cpu_share"]:
            report["per_generator_cpu_second"] = report["per_second"] / report["generator_cpu_share"]
    return reports


def hold(server):
    """{processes of the load tester: report} of idle clients held."""
    reports = {}
    for workers in IDLE_WORKERS:
        found = run(server, "idle", "--connections", IDLE_CONNECTIONS, "--workers", workers, "--duration", 2,
                    "--schedulers", 1, "--source-address", *SOURCES, seconds=60)
        if found["connected"] < IDLE_CONNECTIONS or found["generator_bytes_per_connection"] is None:
            raise BenchError(f"loadtest idle held {found['connected']} of {IDLE_CONNECTIONS} connections")
        name = "1 process" if workers == 1 else f"{workers} processes"
        reports[name] = {"connections": found["connected"], "bytes_each": found["generator_bytes_per_connection"]}
    return reports


def hold_many():
    """{processes of the load tester: report} of more clients than one process may hold, against several servers."""
    with contextlib.ExitStack() as ending:
        started = [ending.enter_context(servers.running("roost")) for _ in range(MANY_PROCESSES)]
        found = run(started[0], "idle", "--connections", MANY_CONNECTIONS, "--workers", MANY_PROCESSES, "--duration", 5,
                    "--schedulers", 1, "--connecting", 200, "--connect-timeout", 60, "--source-address", *SOURCES,
                    seconds=300, others=started[1:])
    if found["connected"] < MANY_CONNECTIONS or found["generator_bytes_per_connection"] is None:
        raise BenchError(f"loadtest idle held {found['connected']} of {MANY_CONNECTIONS} connections")
    return {f"{MANY_PROCESSES} processes": [
        {"connections": found["connected"], "bytes_each": found["generator_bytes_per_connection"], "round": 1}]}


def by_generator(rounds):
    """{name: [report per round]} of rounds that each have {name: report}."""
    results = {}
    for reports in rounds:
        for name, report in reports["generators"].items():
            results.setdefault(name, []).append(report | {"round": reports["round"]})
    return results
