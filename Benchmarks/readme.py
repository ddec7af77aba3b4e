# SPDX-License-Identifier: Apache-2.0
"""The figures of README.md: medians alone, few enough for one screen."""
import re
import textwrap

import runtime
import tables
from quantities import (BYTES, MILLISECONDS, NANOSECONDS, NOTHING, THOUSANDS, TIMES, median, ratios, table, values)

RUNTIME_NAMES = ("roost", "erlang")


class Figures:
    """What was measured, for cells that are there or not."""

    def __init__(self, files):
        self.files = files
        self.results = {figure: file["results"] for figure, file in files.items()}

    def reports(self, figure, server):
        return self.results.get(figure, {}).get(server)

    def cell(self, *wanted):
        """Medians of (figure, server, key, unit), each unit once; a dash where there are none at all."""
        found = [(median(self.reports(figure, server), key), unit) for figure, server, key, unit in wanted]
        return joined(found)

    def rate(self, server, *figures):
        return self.cell(*((figure, server, "per_cpu_second", THOUSANDS) for figure in figures))

    def ratio(self, figure, ours, theirs):
        found = ratios(self.reports(figure, ours), self.reports(figure, theirs), "per_cpu_second")
        return TIMES.number(middle(found)) if found else NOTHING

    def version(self, program, figure):
        """As a table's head has it: what stands before the first word that says on what it runs."""
        text = self.files.get(figure, {}).get("versions", {}).get(program)
        return tables.PEERS[program] if text is None else re.split(" (?:on|in|of) ", text)[0]

    def program(self, name, program, kind, count, key, unit):
        rounds = self.results.get("runtime", {}).get(program, {}).get(name, [])
        found = runtime.values(rounds, kind, count, key)
        return (middle(found) if found else None), unit


def middle(found):
    return median([{"value": value} for value in found], "value")


def joined(found):
    """Values in a row, each with its unit unless the next one has the same."""
    if all(value is None for value, _ in found):
        return NOTHING
    units = [unit for _, unit in found[1:]] + [None]
    return " / ".join((NOTHING if value is None else unit.number(value)) + ("" if unit == after else unit.suffix)
                      for (value, unit), after in zip(found, units))


def echo_table(figures):
    nio = figures.version("nio", "echo64x1")
    rows = [[title, figures.rate("roost", figure), figures.rate("nio", figure), figures.ratio(figure, "roost", "nio")]
            for figure, title in tables.ECHO_TITLES.items()]
    idle = [figures.cell(("idle", server, "bytes_each", BYTES)) for server in ("roost", "nio")]
    rows.append(["user-space memory of an idle connection, 19,000 held", *idle, ""])
    return table(["messages per second of server CPU", "Roost", nio, "ratio"], rows)


def tls_table(figures):
    names = ["roost", "nginx", "node"]
    rate = lambda *loads: [figures.rate(f"{name}+tls", *loads) for name in names]
    deflate = [figures.rate(f"{name}+deflate", *tables.DEFLATE_TITLES) for name in names]
    idle = [figures.cell(*(("idle", name + feature, "bytes_each", BYTES) for feature in ("+deflate", "+tls")))
            for name in names]
    rows = [["TLS echo 64 B, 1 and 16 in flight", *rate("tls64x1", "tls64x16")],
            ["TLS echo 4 KiB", *rate("tls4096x1")],
            ["connect, full or resumed handshake, echo, close", *rate("tlsconnect", "tlsresume")],
            ["compressed echo of JSON, 256 B and 4 KiB", *deflate],
            ["memory of an idle connection, compressed and with TLS", *idle]]
    return table(["TLS 1.3 and compression", "Roost", "nginx before Roost", figures.version("node", "tls64x1")], rows)


def fanout_table(figures):
    rows = [[title, *(figures.rate(server, figure)
                      for server in ("roost", "nchan", "uws", "node+broadcast", "erlang"))]
            for figure, title in tables.FANOUT_TITLES.items()]
    return table(["deliveries per second of server CPU, 100 B to 5,000", "Roost",
                  *(figures.version(name, "fanout1") for name in ("nchan", "uws", "node", "erlang"))], rows)


def runtime_table(figures):
    pick = lambda *wanted: [joined([figures.program(name, *one) for one in wanted]) for name in RUNTIME_NAMES]
    nanoseconds = lambda program: (program, program, None, "ns_each", NANOSECONDS)
    spinners = [figures.cell(*(("spinners", name, key, MILLISECONDS) for key in ("p50_us", "p99_us")))
                for name in RUNTIME_NAMES]
    parked = ("spawn", "parked", 1_000_000)
    rows = [["process parked in `receive`, 1,000,000 of them: memory, spawn",
             *pick((*parked, "bytes_each", BYTES), (*parked, "ns_each", NANOSECONDS))],
            ["ping-pong, ring of 1,000, `call`, spawn + exit + `DOWN`",
             *pick(*map(nanoseconds, ("pingpong", "ring", "call", "monitor")))],
            ["p99 of 100 echo processes beside 1,000 spinners",
             *pick(("latency", "latency", None, "p99_us", MILLISECONDS))],
            ["10,000 echoes a second beside 100 spinners, p50 and p99", *spinners]]
    return table(["processes", "Roost", figures.version("erlang", "runtime")], rows)


def loadtester_table(figures):
    rates = [figures.cell(*(("loadtester", f"{generator}, {count} in flight", "per_second", THOUSANDS)
                            for count in (1, 16))) for generator in ("loadtest", "loadgen")]
    rows = [["echoes per second from one core, 64 B, 1 and 16 in flight", *rates]]
    idle = figures.cell(("loadtester-idle", "14 processes", "bytes_each", BYTES))
    rows += [["user-space memory of an idle client, 250,000 in 14 processes", idle, ""]] if idle != NOTHING else []
    return table(["clients", "Roost's load tester", "the generator in C"], rows)


def stuck_sentence(figures):
    kinds = figures.results["stuck"].values()
    medians = [{key: median(rounds, key) for key in ("max_us", "p99_us")} for rounds in kinds]
    return filled("A handler stuck for 5 s in sleep, in a silent pipe or in a loop without reduction points costs 100 "
                  f"others on its scheduler {span(medians, 'max_us')} once; their p99 is {span(medians, 'p99_us')}.")


def span(reports, key):
    least, most = min(values(reports, key)), max(values(reports, key))
    return f"{MILLISECONDS.number(least)} to {MILLISECONDS.text(most)}"


def trap_sentence(figures):
    reports = [report for rounds in figures.results["traps"].values() for report in rounds]
    lost = sum(report["lost"] + report["other_errors"] for report in reports)
    each = values(reports, "growth_bytes_each")
    return filled(f"{min(values(reports, 'traps')):,} traps of each of {len(reports)} kinds in a row beside 1,000 "
                  f"echoing connections: {lost or 'no'} message{'' if lost == 1 else 's'} lost, "
                  f"{BYTES.number(min(each))} to {BYTES.text(max(each))} a trap.")


def filled(text):
    return textwrap.fill(text, 140, break_long_words=False, break_on_hyphens=False)


PARTS = [  # what has to be measured for each, and what writes it
    (list(tables.ECHO_TITLES), echo_table),
    ([*tables.TLS_TITLES, *tables.DEFLATE_TITLES], tls_table),
    (["runtime"], runtime_table),
    (list(tables.FANOUT_TITLES), fanout_table),
    (["loadtester"], loadtester_table),
    (["stuck"], stuck_sentence),
    (["traps"], trap_sentence),
]


def figures(files):
    """The text between the marks."""
    found = Figures(files)
    parts = [write(found) for wanted, write in PARTS if any(map(files.get, wanted))]
    return "\n\n".join([introduction(files), *parts])


def introduction(files):
    machines = dict.fromkeys(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
                             for machine in (file["machine"] for file in files.values()))
    dates = sorted({file["date"] for file in files.values()})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "not measured"
    return filled(f"Medians of interleaved rounds on {' and '.join(machines)}, {when}; server on core 0, load "
                  "generator on core 1. `make bench` measures them; [docs/benchmarks.md](docs/benchmarks.md) has each "
                  "with its command, commit and spread.")
