# SPDX-License-Identifier: Apache-2.0
"""Bars as SVG: a panel for each load with a scale of its own, a bar for each server, a line from the least round to the
most. The same values always make the same file, and it suits light and dark pages.
"""
import math
import statistics
from typing import NamedTuple
from xml.sax.saxutils import escape

from quantities import Unit

WIDTH, VALUE_WIDTH, MARGIN = 760, 90, 16
LABEL_WIDTH_MIN, LABEL_LETTER = 90, 7.2  # what a letter takes in the widest of the fonts
BAR, BAR_STEP, PANEL_GAP, PANEL_HEAD, HEAD = 16, 22, 14, 22, 52
STYLE = """
  text { font: 13px -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 } .panel { font-weight: 600 } .note, .value { fill: #59636e }
  .peer { fill: #afb8c1 } .ours { fill: #e8663c } .track { fill: #818b981a } .spread { stroke: #1f2328 }
  .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note, .value { fill: #9198a1 } .peer { fill: #59636e } .ours { fill: #f0784f }
    .spread { stroke: #f0f6fc } .page { fill: #0d1117 }
  }
"""


class Bar(NamedTuple):
    label: str
    values: list
    is_ours: bool


class Panel(NamedTuple):
    title: str
    unit: Unit
    bars: list


class Plot(NamedTuple):
    title: str
    note: str
    panels: list


def draw(plot):
    """The plot as the text of an SVG file; panels and bars without values are left out."""
    panels = [panel._replace(bars=[bar for bar in panel.bars if bar.values]) for panel in plot.panels]
    panels = [panel for panel in panels if panel.bars]
    left = MARGIN + max([LABEL_WIDTH_MIN] + [math.ceil(LABEL_LETTER * len(bar.label)) + 8
                                             for panel in panels for bar in panel.bars])
    body, y = [], HEAD
    for panel in panels:
        body.append(text(MARGIN, y + 14, "panel", panel.title))
        y += PANEL_HEAD
        most = max(max(bar.values) for bar in panel.bars) or 1
        for bar in panel.bars:
            body += bar_lines(bar, panel.unit, most, left, y)
            y += BAR_STEP
        y += PANEL_GAP
    height = y - PANEL_GAP + MARGIN
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(plot.title)}">', f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            text(MARGIN, 22, "title", plot.title), text(MARGIN, 41, "note", plot.note)]
    return "\n".join(head + body + ["</svg>"]) + "\n"


def bar_lines(bar, unit, most, left, y):
    """One bar with its label, its value and the spread of its rounds."""
    room = WIDTH - MARGIN - VALUE_WIDTH - left
    middle = statistics.median(bar.values)
    at = lambda value: left + room * value / most
    lines = [text(left - 8, y + 13, "label", bar.label, "end"),
             rectangle("track", left, y, room),
             rectangle("ours" if bar.is_ours else "peer", left, y, at(middle) - left)]
    least, highest = at(min(bar.values)), at(max(bar.values))
    if highest - least >= 1:
        centre = y + BAR / 2
        lines.append(f'<path class="spread" fill="none" d="M{least:.1f} {centre - 4:g}v8M{least:.1f} {centre:g}'
                     f'H{highest:.1f}M{highest:.1f} {centre - 4:g}v8"/>')
    return lines + [text(left + room + 8, y + 13, "value", unit.text(middle))]


def text(x, y, kind, content, anchor="start"):
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x}" y="{y}"{place}>{escape(content)}</text>'


def rectangle(kind, x, y, width):
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{max(width, 1):.1f}" height="{BAR}" rx="2"/>'
