"""Small line charts side by side, as one SVG file: logarithmic across, linear from 0 upwards, readable on white and on black."""

from math import ceil, floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

COLOURS = ("#2f81f7", "#c9762b")
TEXT = "#7d8590"
GRID = "#7d859055"
WIDTH, HEIGHT = 250, 220
LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 12, 52, 212, 130
AXIS, FOOT = 34, 30


class Line(NamedTuple):
    """x, y, and between what y mostly was, for each point."""

    name: str
    points: list[tuple[float, float, float, float]]


class Panel(NamedTuple):
    """One chart. The lines of all charts have the same names and colours."""

    title: str
    subtitle: str
    lines: list[Line]


def short(number: float) -> str:
    """10000 as 10 k."""
    for unit, letter in ((10**6, " M"), (10**3, " k")):
        if number >= unit:
            return f"{number / unit:g}{letter}"
    return f"{number:g}"


def step_of(top: float) -> float:
    """A round distance of grid lines, of which at most 6 fit below `top`."""
    power = 10.0 ** floor(log10(top))
    return next(power * part for part in (0.2, 0.25, 0.5, 1, 2) if top / (power * part) <= 6)


def text(x: float, y: float, what: str, *, anchor: str = "middle", size: int = 11, colour: str = TEXT, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(what)}</text>'


def draw(panel: Panel, left: float, rungs: list[float]) -> list[str]:
    """One chart whose plot begins at `left`, with a grid line at each of `rungs`, from 0 to the highest y."""
    xs = [point[0] for line in panel.lines for point in line.points]
    low, high = log10(min(xs)), log10(max(xs))
    bottom = TOP + PLOT_HEIGHT

    def across(x: float) -> float:
        return left + 8 + (PLOT_WIDTH - 16) * (log10(x) - low) / (high - low)

    def up(y: float) -> float:
        return bottom - PLOT_HEIGHT * y / rungs[-1]

    parts = [text(left, 18, panel.title, anchor="start", size=13, weight="bold"), text(left, 34, panel.subtitle, anchor="start", size=9)]
    parts += [f'<path d="M{left:.1f} {up(y):.1f}h{PLOT_WIDTH}" stroke="{GRID}"/>' for y in rungs]
    parts += [text(across(x), bottom + 16, short(x)) for x in sorted(set(xs))]
    for colour, line in zip(COLOURS, panel.lines, strict=False):
        way = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y, _, _ in line.points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, lower, upper in line.points:
            parts.append(f'<path d="M{across(x):.1f} {up(lower):.1f}V{up(upper):.1f}" stroke="{colour}" stroke-width="5" stroke-opacity="0.35"/>')
            parts.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>')
    return parts


def svg(panels: list[Panel], unit: str, caption: str) -> str:
    """The whole file. All charts have one scale upwards, in `unit`."""
    most = max(point[3] for panel in panels for line in panel.lines for point in line.points)
    step = step_of(most)
    top = step * ceil(most / step)
    width, height = AXIS + WIDTH * len(panels), HEIGHT + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif">',
        f"<title>{escape(caption)}</title>",
    ]
    rungs = [index * step for index in range(round(top / step) + 1)]
    parts += [text(AXIS + LEFT - 6, TOP + PLOT_HEIGHT * (1 - y / top) + 4, f"{y:g}", anchor="end") for y in rungs]
    for index, panel in enumerate(panels):
        parts += draw(panel, AXIS + LEFT + WIDTH * index, rungs)
    parts.append(text(AXIS + LEFT - 6, TOP - 8, unit, anchor="end", size=10))
    left = float(AXIS + LEFT)
    for colour, line in zip(COLOURS, panels[0].lines, strict=False):
        parts.append(f'<circle cx="{left + 4}" cy="{HEIGHT + 8}" r="4" fill="{colour}"/>')
        parts.append(text(left + 14, HEIGHT + 12, line.name, anchor="start"))
        left += 24 + 6.2 * len(line.name)
    parts.append(text(width - 24, HEIGHT + 12, caption, anchor="end", size=9))
    return "\n".join((*parts, "</svg>", ""))
