#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Roost beside its peers: server on core 0, load generator on core 1, rounds interleaved, medians.

bench.py [FIGURE ...] [--rounds N] [--seconds S] [--json FILE]      every figure without a name; --list names them
"""
import argparse
import json
import os
import platform
import signal
import statistics
import sys
import time

import counts
import figures
import runtime
import servers

TITLES = {
    "echo64x1": ("echo 64 B, 100 connections, 1 in flight", 1.75),
    "echo64x16": ("echo 64 B, 100 connections, 16 in flight", 4.5),
    "echo4k": ("echo 4 KiB, 100 connections, 1 in flight", 2.0),
    "echo64k": ("echo 64 KiB, 20 connections, 1 in flight", 3.2),
    "connect": ("connect, one echo, close", 1.8),
}


TLS_TITLES = {
    "tls64x1": "TLS echo 64 B, 100 connections, 1 in flight",
    "tls64x16": "TLS echo 64 B, 100 connections, 16 in flight",
    "tls4096x1": "TLS echo 4 KiB, 100 connections, 1 in flight",
    "tlsconnect": "connect, full handshake, one echo, close",
    "tlsresume": "connect, resumed handshake, one echo, close",
}
DEFLATE_TITLES = {"deflate256": "compressed echo of 256 B of JSON", "deflate4096": "compressed echo of 4 KiB of JSON"}
GENERATOR_LIMIT = 0.95  # of its core: from there on it may have been the limit of messages a second


def median_of(reports, key):
    values = [report[key] for report in reports if key in report]
    return statistics.median(values) if values else None


def paired_ratio(ours, theirs, key):
    """The median of the rounds' own ratios: neighbours in time share the machine's mood."""
    by_round = {report["round"]: report for report in theirs}
    pairs = [(report, by_round.get(report["round"], {})) for report in ours]
    ratios = [a[key] / b[key] for a, b in pairs if b.get(key)]
    return statistics.median(ratios) if ratios else None


def thousands(value):
    return "–" if value is None else f"{value / 1000:,.1f} k"


def microseconds(value):
    return "–" if value is None else f"{value / 1000:.2f} ms"


def times(value):
    return "–" if value is None else f"{value:.2f} x"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def throughput_table(results):
    rows, with_erlang = [], any("erlang" in results.get(name, {}) for name in TITLES)
    for name, (title, target) in TITLES.items():
        if name not in results:
            continue
        found = results[name]
        ours, nio = found.get("roost", []), found.get("nio", [])
        row = [title, thousands(median_of(ours, "per_cpu_second")), thousands(median_of(nio, "per_cpu_second")),
               times(paired_ratio(ours, nio, "per_cpu_second")), f"≥ {target} x"]
        rows.append(row + ([thousands(median_of(found.get("erlang", []), "per_cpu_second"))] if with_erlang else []))
    head = ["messages per second of server CPU", "Roost", "SwiftNIO 2.101.2", "ratio", "to reach"]
    return table(head + (["Erlang gen_tcp"] if with_erlang else []), rows) if rows else ""


def tls_table(results):
    names = {"roost+tls": "Roost", "nginx+tls": "nginx before Roost", "node+tls": "node-ws", "erlang+tls": "Erlang ssl"}
    names = {name: title for name, title in names.items()
             if any(results.get(figure, {}).get(name) for figure in TLS_TITLES)}
    peers = [name for name in names if name not in ("roost+tls", "erlang+tls")]
    rows, spoken = [], set()
    for figure, title in TLS_TITLES.items():
        found = results.get(figure)
        if not found:
            continue
        spoken |= {report["tls"] for reports in found.values() for report in reports}
        ours = found.get("roost+tls", [])
        rows.append([title, *(thousands(median_of(found.get(name, []), "per_cpu_second")) for name in names),
                     *(times(paired_ratio(ours, found.get(name, []), "per_cpu_second")) for name in peers)])
    head = [f"per second of server CPU, {', '.join(sorted(spoken))}", *names.values(),
            *(f"Roost / {names[name]}" for name in peers)]
    return table(head, rows) if rows else ""


def deflate_table(results):
    titles = {"roost+deflate": "Roost", "node+deflate": "node-ws, as Roost", "node+default": "node-ws, its defaults"}
    rows = []
    for figure, title in DEFLATE_TITLES.items():
        for name, reports in results.get(figure, {}).items():
            ours = results[figure].get("roost+deflate", [])
            rows.append([title, titles[name], thousands(median_of(reports, "per_cpu_second")),
                         f"{median_of(reports, 'wire_bytes_each'):,.0f} B",
                         times(paired_ratio(ours, reports, "per_cpu_second"))])
    head = ["permessage-deflate", "server", "messages per second of server CPU", "answer on the wire", "Roost / this"]
    return table(head, rows) if rows else ""


def generator_limits(results):
    """Where the generator may have bounded messages a second, though not those per second of server CPU."""
    is_limited = lambda report: isinstance(report, dict) and report.get("generator_cpu_share", 0) > GENERATOR_LIMIT
    limited = [f"{figure} of {name}" for figure, found in results.items() for name, reports in found.items()
               if isinstance(reports, list) and any(map(is_limited, reports))]
    return "The generator's core was full in: " + ", ".join(limited) + "." if limited else ""


def idle_table(found):
    rows = [[name, f"{median_of(reports, 'bytes_each'):,.0f} B", f"{median_of(reports, 'rss_anon_bytes_each'):,.0f} B",
             f"{reports[0]['connections']:,}"] for name, reports in found.items()]
    return table(["idle connection (to reach: 700 B)", "private dirty, each", "anonymous, each", "held"], rows)


def spawn_table(found):
    by_kind = {}
    for name, rounds in found.items():
        for row in (row for one in rounds for row in one):
            by_kind.setdefault((name, row.get("kind", "parked"), row["count"]), []).append(row)
    rows = [[name, kind, f"{count:,}", f"{median_of(reports, 'ns_each'):,.0f} ns",
             f"{median_of(reports, 'bytes_each'):,.0f} B"] for (name, kind, count), reports in by_kind.items()]
    return table(["processes (to reach: 700 ns, 600 B)", "kind", "count", "each", "memory, each"], rows)


def spinner_table(found):
    columns = ["quiet_p50_us", "quiet_p99_us", "p50_us", "p99_us", "max_us"]
    rows = [[name, *(microseconds(median_of(reports, key)) for key in columns),
             str(max(report["lost"] for report in reports))] for name, reports in found.items()]
    return table(["100 spinners (to reach: p99 < 1.5 ms)", "p50 without", "p99 without", "p50 with", "p99 with",
                  "max with", "lost"], rows)


def stuck_table(found):
    columns = ["quiet_p50_us", "quiet_p99_us", "p50_us", "p99_us", "max_us"]
    rows = [[name, *(microseconds(median_of(reports, key)) for key in columns),
             str(max(report["lost"] for report in reports))] for name, reports in found.items()]
    return table(["one handler stuck for 5 s in", "p50 without", "p99 without", "p50 with", "p99 with", "max with",
                  "lost"], rows)


def hoard_table(found):
    rows = [[f"{report['ended']:,}", f"{report['mebibytes_per_second'] / 1024:.2f} GiB/s",
             f"{report['growth_bytes'] / 2**20:,.0f} MiB", microseconds(report["quiet_p99_us"]),
             microseconds(report["p99_us"]), str(report["lost"] + report["errors"])]
            for reports in found.values() for report in reports]
    return table(["50 hogs: ended", "hoarded", "lost memory", "others' p99 without", "with", "others' lost"], rows)


def trap_table(found):
    rows = [[kind, f"{report['traps']:,}", str(report["stalls"] + report["trap_errors"]), f"{report['echoed']:,}",
             str(report["lost"] + report["other_errors"]), f"{report['growth_bytes_each']:,.0f} B",
             microseconds(report["p99_us"])] for kind, (report, *_) in found.items()]
    head = ["trap", "contained", "unanswered", "others' echoes", "others' lost", "memory per trap", "others' p99"]
    return table(head, rows)


def neverread_table(found):
    rows = [[name, f"{report['growth_bytes'] / 2**20:,.1f} MiB", microseconds(report["p50_us"]),
             microseconds(report["p99_us"]), str(report["lost"] + report["other_errors"])]
            for name, (report, *_) in found.items()]
    return table(["misbehaving", "memory, at most", "others' p50", "others' p99", "others' lost"], rows)


def runtime_table(found):
    return table(*runtime.rows(found))


def counts_table(found):
    return table(*counts.rows(found))


OTHER_TABLES = {"idle": idle_table, "counts": counts_table, "spawn": spawn_table, "runtime": runtime_table,
                "spinners": spinner_table, "stuck": stuck_table, "hoards": hoard_table, "traps": trap_table,
                "neverread": neverread_table}


def machine():
    lines = open("/proc/cpuinfo").read().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0],
            "date": time.strftime("%Y-%m-%d %H:%M")}


def render(results, facts, options):
    """The tables, headed by what they were measured on."""
    parts = [f"{facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}, {facts['date']}; medians of "
             f"{options.rounds} interleaved rounds; load when it began {facts['load']:.1f}.",
             throughput_table(results), tls_table(results), deflate_table(results)]
    parts += [draw(results[name]) for name, draw in OTHER_TABLES.items() if results.get(name)]
    parts.append(generator_limits(results))
    return "\n\n".join(part for part in parts if part)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(figures.FIGURES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="measured time of one load")
    parser.add_argument("--traps", type=int, default=10_000, help="traps of each kind")
    parser.add_argument("--json", default=str(servers.HERE / ".build" / "results.json"))
    parser.add_argument("--servers", default=None, help="comma-separated; default: all that are built or installed")
    parser.add_argument("--with-erlang", action="store_true", help="also measure echoes of the small Erlang server")
    parser.add_argument("--list", action="store_true", help="name the figures and the servers found")
    options = parser.parse_args()
    unknown = [name for name in options.figures if name not in figures.FIGURES]
    if unknown:
        parser.error(f"no figure {unknown[0]}; there are: {', '.join(figures.FIGURES)}")
    present = servers.available()
    options.servers = [name for name in present if options.servers is None or name in options.servers.split(",")]
    return options


def main():
    options = parse_arguments()
    if options.list:
        print("figures:", *figures.FIGURES, "\nservers:", *options.servers)
        return 0
    if not servers.LOADGEN.exists():
        sys.exit("The load generator is not built: run `make bench-tools` first.")
    if os.cpu_count() < 2:
        sys.exit("The server and the load generator need a core each; this machine has one.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
    options.failures = failures = []
    facts, results = machine(), {}
    for name in options.figures or list(figures.FIGURES):
        figures.note(f"{name}:")
        try:
            results[name] = figures.FIGURES[name](options)
        except servers.BenchError as error:
            failures.append(f"{name}: {error}")
            figures.note(f"  not measured: {error}")
    with open(options.json, "w") as file:
        everything = {"machine": facts, "rounds": options.rounds, "results": results, "failures": failures}
        json.dump(everything, file, indent=1)
    print(render(results, facts, options))
    for failure in failures:
        print(f"\nNot measured: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
