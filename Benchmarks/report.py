#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/benchmarks.md, its plots and the figures in README.md from Benchmarks/results, and from nothing else.

report.py [--check] [--root DIRECTORY]      --check writes nothing, and fails where a file is not what would be written
"""
import argparse
import json
import pathlib
import sys
import textwrap

import plots
import readme
import tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS, README = pathlib.Path("Benchmarks/results"), pathlib.Path("README.md")
DOCUMENT, PLOTS = pathlib.Path("docs/benchmarks.md"), pathlib.Path("docs/benchmarks")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
HEAD = """# Benchmarks

Every figure of this project, as `make bench` measured it. This file, its plots and the figures in README.md are written
by `make bench-report` from the rounds in [Benchmarks/results](../Benchmarks/results); `make lint` fails where they
differ. [Benchmarks/README.md](../Benchmarks/README.md) tells how each is measured and how the peers are set up.

The server runs on core 0, with one scheduler, thread, worker or event loop, and the load generator on core 1. Rounds of
Roost and its peers are interleaved, on a fresh server each. What is written is the median of the rounds, and in
parentheses the least and the most of them; a ratio is the median of the rounds' own ratios. *Per second of server CPU*
divides by the server's CPU time, all threads and the kernel's part included.
"""


def load(root):
    """{figure: its file}, in the order of the report."""
    order = [figure for group in tables.GROUPS for figure in group.figures]
    found = {path.stem: json.loads(path.read_text()) for path in (root / RESULTS).glob("*.json")}
    unknown = sorted(set(found) - set(order))
    if unknown:
        sys.exit(f"report.py: no figure is called {unknown[0]}: remove Benchmarks/results/{unknown[0]}.json")
    return {figure: found[figure] for figure in order if figure in found}


def round_count(found):
    """How many rounds a figure's results have: some are measured less often than others."""
    lists = [part for value in found.values() for part in (value.values() if isinstance(value, dict) else [value])]
    return max(map(len, lists), default=0)


def provenance(group, files):
    """With what the figures of a group were measured; a line for all that were measured alike."""
    alike = {}
    for figure in filter(files.get, group.figures):
        file = files[figure]
        machine, count = file["machine"], round_count(file["results"])
        where = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
        what = f"commit {file['commit']}; {', '.join(file['versions'].values())}"
        said = (file["options"], f"{count} round{'' if count == 1 else 's'} on {file['date']}, {where}, {what}.")
        alike.setdefault(said, []).append(figure)
    lines = (f'- `make bench FIGURES="{" ".join([*figures, *options.split()])}"`: {said}'
             for (options, said), figures in alike.items())
    return [textwrap.fill(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            for line in lines]


def document(files):
    """The text of docs/benchmarks.md."""
    results = {figure: file["results"] for figure, file in files.items()}
    parts = [HEAD]
    for group in tables.GROUPS:
        if not any(map(results.get, group.figures)):
            continue
        text = textwrap.fill(" ".join(group.text.split()), 120, break_on_hyphens=False)
        parts.append(f"## {group.title}\n\n{text}\n")
        if group.plot:
            parts.append(f"![{group.title}](benchmarks/{group.name}.svg)\n")
        parts += [group.table(results) + "\n", "\n".join(provenance(group, files)) + "\n"]
        limits = tables.generator_limits({figure: results[figure] for figure in group.figures if figure in results})
        parts += [textwrap.fill(limits, 120) + "\n"] if limits else []
    missing = [f"`{figure}`" for group in tables.GROUPS for figure in group.figures if figure not in files]
    parts += [f"Not measured here: {', '.join(missing)}.\n"] if missing else []
    return "\n".join(parts)


def generated(root, files):
    """{path: text} of all that is written."""
    results = {figure: file["results"] for figure, file in files.items()}
    texts = {DOCUMENT: document(files), README: with_figures((root / README).read_text(), readme.figures(files))}
    for group in tables.GROUPS:
        if group.plot and any(map(results.get, group.figures)):
            texts[PLOTS / f"{group.name}.svg"] = plots.draw(group.plot(results))
    return texts


def with_figures(text, figures):
    """README.md with its figures replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        sys.exit(f"report.py: README.md needs the lines {BEGIN} and {END}, once each and in this order")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{figures}\n{END}{rest.split(END)[1]}"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    options = parser.parse_args(arguments)
    root = options.root
    texts = generated(root, load(root))
    leftover = sorted({path.relative_to(root) for path in (root / PLOTS).glob("*.svg")} - set(texts))
    if options.check:
        wrong = leftover + [path for path, text in texts.items()
                            if not (root / path).exists() or (root / path).read_text() != text]
        for path in wrong:
            print(f"{path}: not what {RESULTS} says; run `make bench-report`", file=sys.stderr)
        return 1 if wrong else 0
    (root / PLOTS).mkdir(parents=True, exist_ok=True)
    for path in leftover:
        (root / path).unlink()
    for path, text in texts.items():
        (root / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
