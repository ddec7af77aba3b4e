# SPDX-License-Identifier: Apache-2.0
"""Rounds into what people read: medians with their spread, in units."""
import statistics
from typing import NamedTuple

NOTHING = "–"


class Unit(NamedTuple):
    """How a value is written: over `scale`, with `suffix`, three digits at least unless it counts what is whole."""
    suffix: str
    scale: float = 1
    is_whole: bool = False

    def number(self, value):
        value /= self.scale
        decimals = 0 if self.is_whole or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
        return f"{value:,.{decimals}f}"

    def text(self, value):
        return NOTHING if value is None else self.number(value) + self.suffix


THOUSANDS = Unit(" k", 1e3)
MILLISECONDS = Unit(" ms", 1e3)  # of microseconds
MICROSECONDS = Unit(" µs")
NANOSECONDS = Unit(" ns")
BYTES = Unit(" B", is_whole=True)
MEBIBYTES = Unit(" MiB", 2**20)
TIMES = Unit(" x")
COUNT = Unit("", is_whole=True)
PERCENT = Unit(" %", 0.01)


def values(reports, key):
    return [report[key] for report in reports or [] if report.get(key) is not None]


def median(reports, key):
    found = values(reports, key)
    return statistics.median(found) if found else None


def ratios(over, under, key):
    """The rounds' own ratios: neighbours in time share the machine's mood."""
    by_round = {report["round"]: report for report in under or []}
    pairs = [(report, by_round.get(report["round"], {})) for report in over or []]
    return [a[key] / b[key] for a, b in pairs if a.get(key) and b.get(key)]


def short(reports, key, unit):
    """The median alone."""
    return unit.text(median(reports, key))


def spread(found, unit):
    """The median, then the least and the most of the rounds where they differ."""
    if not found:
        return NOTHING
    least, most = unit.number(min(found)), unit.number(max(found))
    return unit.text(statistics.median(found)) + ("" if least == most else f" ({least} – {most})")


def full(reports, key, unit):
    return spread(values(reports, key), unit)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
