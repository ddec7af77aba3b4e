#!/usr/bin/env python3
"""histogram_log.py REPORT.json LOG.hlog: reads what `loadtest` wrote with `--json` and `--hlog` in one run with
HdrHistogram's own Python package, and compares the two. Exits with 1 and a line for each difference.

The package decodes the log by itself, so this is a test of the format, and not of our reader against our writer.
"""
import json
import math
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HOUR_NANOSECONDS = 3_600_000_000_000
PERCENTILES = {"p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99, "p99.9": 99.9, "p99.99": 99.99}
DISTRIBUTIONS = ("latency", "connect", "lag", "recovery")


def tag_of(group, distribution):
    """As the writer names it: nothing in it at which a reader would end it."""
    return "".join("_" if c == "," or c.isspace() or ord(c) < 0x20 else c for c in group) + "." + distribution


def empty():
    return HdrHistogram(1, HOUR_NANOSECONDS, 3)


def intervals_of(path):
    """(tag, start in seconds, histogram) of each line."""
    reader = HistogramLogReader(path, empty())
    while True:
        histogram = reader.get_next_interval_histogram()
        if histogram is None:
            return
        yield histogram.get_tag(), histogram.get_start_time_stamp() / 1000 - reader.get_start_time_sec(), histogram


def expected_of(report):
    """(tag, start in seconds, count, max) of each distribution that the timeline of the report has."""
    for interval in report["timeline"]:
        for group, measure in zip(report["plan"]["groups"], interval["groups"]):
            for name in DISTRIBUTIONS:
                found = measure.get(f"{name}_ns")
                if found:
                    yield tag_of(group["name"], name), interval["start_seconds"], found["count"], found["max"]


def is_near(found, expected):
    """Within the three digits that a histogram keeps."""
    return abs(found - expected) <= expected * 0.001 + 1


def compare_intervals(report, lines):
    expected = list(expected_of(report))
    if len(lines) != len(expected):
        yield f"the log has {len(lines)} lines, and the timeline {len(expected)} distributions"
        return
    for (tag, start, histogram), (name, seconds, count, most) in zip(lines, expected):
        if tag != name:
            yield f"a line of {tag} where the timeline has {name}"
        if abs(start - seconds) > 0.002:
            yield f"{tag} begins at {start} s, and in the timeline at {seconds} s"
        if histogram.get_total_count() != count:
            yield f"{tag} at {seconds} s has {histogram.get_total_count()} values, and the timeline {count}"
        if not is_near(histogram.get_max_value(), most):
            yield f"{tag} at {seconds} s goes to {histogram.get_max_value()}, and in the timeline to {most}"


def percentile(histogram, percent):
    """The least value that so many percent of all are at or below. (The package's own function rounds the rank to the
    nearest, where Java's and Swift's round it up.)"""
    rank = max(math.ceil(percent / 100 * histogram.get_total_count() - 1e-9), 1)
    for item in histogram.get_recorded_iterator():
        rank -= item.count_at_value_iterated_to
        if rank <= 0:
            return histogram.get_highest_equivalent_value(item.value_iterated_to)
    return histogram.get_max_value()


def compare_summary(name, histogram, summary):
    """A histogram that the package has added up or decoded, with the figures of the report."""
    if histogram.get_total_count() != summary["count"]:
        yield f"{name} has {histogram.get_total_count()} values, and the report {summary['count']}"
    figures = {key: percentile(histogram, percent) for key, percent in PERCENTILES.items()}
    figures |= {"min": histogram.get_min_value(), "max": histogram.get_max_value(), "mean": histogram.get_mean_value()}
    for key, found in figures.items():
        if not is_near(found, summary[key]):
            yield f"{key} of {name} is {found}, and in the report {summary[key]}"


def compare_groups(report, lines):
    phases = {interval["start_seconds"]: interval["phase"] for interval in report["timeline"]}
    for group in report["groups"]:
        for name in DISTRIBUTIONS:
            summary = group.get(f"{name}_ns")
            if not summary or not summary["count"]:
                continue
            total = empty()
            for tag, start, histogram in lines:
                phase = phases[min(phases, key=lambda seconds: abs(seconds - start))]
                if tag == tag_of(group["name"], name) and (name == "connect" or phase in ("measuring", "ending")):
                    total.add(histogram)
            yield from compare_summary(f"{group['name']}.{name} of the log", total, summary)
            decoded = HdrHistogram.decode(summary["histogram"])
            yield from compare_summary(f"{group['name']}.{name} of the report", decoded, summary)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    lines = list(intervals_of(sys.argv[2]))
    differences = list(compare_intervals(report, lines)) + list(compare_groups(report, lines))
    for difference in differences:
        print(difference, file=sys.stderr)
    values = sum(histogram.get_total_count() for _, _, histogram in lines)
    if not values:
        sys.exit("the log has no values, so nothing was compared: give a run that measured something")
    if differences:
        sys.exit(1)
    print(f"{len(lines)} histograms with {values} values are the same for HdrHistogram's Python package")


if __name__ == "__main__":
    main()
