#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Roost beside its peers: server on core 0, load generator on core 1, rounds interleaved, medians.

bench.py [FIGURE ...] [--rounds N] [--seconds S] [--save]      every figure without a name; --list names them
"""
import argparse
import json
import os
import signal
import sys

import facts
import figures
import servers
import tables

RESULTS = servers.HERE / "results"


def render(results, when, options):
    """The tables, headed by what they were measured on."""
    machine = facts.machine()
    parts = [f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {when['date']}; medians of "
             f"{options.rounds} interleaved rounds, least and most; load when it began {when['load_at_start']:.1f}."]
    parts += [group.table(results) for group in tables.GROUPS if any(map(results.get, group.figures))]
    return "\n\n".join([*parts, tables.generator_limits(results)]).rstrip()


def given(options, parser):
    """The options that were given, as they have to be given again for the same figures."""
    names = ("rounds", "seconds", "traps", "servers", "with_erlang")
    chosen = {name: getattr(options, name) for name in names if getattr(options, name) != parser.get_default(name)}
    return " ".join("--" + name.replace("_", "-") + ("" if value is True else f" {value}")
                    for name, value in chosen.items())


def programs(found):
    """Those that a figure's results are of; where they are named after something else, Roost."""
    names = [name for key, value in found.items() for name in (value if isinstance(value, dict) else [key])]
    named = {servers.program(name.split()[0]) for name in names} & set(tables.PEERS)
    return (named | {"roost"} if "nginx" in named else named) or {"roost"}


def save(name, found, when, options):
    """One file for a figure, which `make bench-report` reads."""
    RESULTS.mkdir(exist_ok=True)
    everything = {"figure": name, "options": options.given, **when,
                  "machine": facts.machine(), "commit": options.commit, "versions": facts.versions(programs(found)),
                  "results": found}
    (RESULTS / f"{name}.json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(figures.FIGURES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="measured time of one load")
    parser.add_argument("--traps", type=int, default=10_000, help="traps of each kind")
    parser.add_argument("--save", action="store_true", help="write Benchmarks/results, for `make bench-report`")
    parser.add_argument("--json", default=str(servers.HERE / ".build" / "results.json"))
    parser.add_argument("--servers", default=None, help="comma-separated; default: all that are built or installed")
    parser.add_argument("--with-erlang", action="store_true", help="also measure echoes of the small Erlang server")
    parser.add_argument("--list", action="store_true", help="name the figures and the servers found")
    options = parser.parse_args()
    unknown = [name for name in options.figures if name not in figures.FIGURES]
    if unknown:
        parser.error(f"no figure {unknown[0]}; there are: {', '.join(figures.FIGURES)}")
    options.given, options.commit = given(options, parser), facts.commit()
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
    start, results = facts.now(), {}
    for name in options.figures or list(figures.FIGURES):
        figures.note(f"{name}:")
        when, failures_before = facts.now(), len(failures)
        try:
            results[name] = figures.FIGURES[name](options)
        except servers.BenchError as error:
            failures.append(f"{name}: {error}")
            figures.note(f"  not measured: {error}")
        if options.save and len(failures) == failures_before:  # all of it or nothing
            save(name, results[name], when, options)
    with open(options.json, "w") as file:
        everything = {"machine": facts.machine(), **start, "rounds": options.rounds, "results": results,
                      "failures": failures}
        json.dump(everything, file, indent=1)
    print(render(results, start, options))
    for failure in failures:
        print(f"\nNot measured: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
