"""Line charts as SVG to be put into a page, whose style they take their colours from. Nothing is loaded from elsewhere."""

from collections.abc import Callable, Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 24
RUNGS = 5
COLOURS = 5

Point = tuple[float, float | None]

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #656d76; --line: #d0d7de; --ground: #ffffff;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #8d96a0; --line: #30363d; --ground: #0d1117;
  --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8; --c4: #f85149; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { margin: .4rem 0; } .faint { color: var(--faint); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } .wide { overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 1rem 2rem; margin-top: 1rem; }
figure { margin: 0; } figcaption { font-weight: 600; }
figcaption span { font-weight: normal; } .legend { font-size: .8rem; color: var(--faint); display: flex; flex-wrap: wrap; gap: 0 1rem; }
.legend i { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .3rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--faint); } .grid { stroke: var(--line); }
.good { color: var(--c2); } .bad { color: var(--c4); }
"""


class Curve(NamedTuple):
    """A named line; a y of None leaves a hole."""

    name: str
    points: Sequence[Point]


def short(number: float) -> str:
    """A number in few characters: 12000 as 12 k."""
    for unit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:.3g}"


def step_of(top: float) -> float:
    """A round distance of grid lines, of which at most RUNGS fit below `top`."""
    power = 10.0 ** floor(log10(top))
    return next(power * part for part in (0.2, 0.25, 0.5, 1.0, 2.0) if top / (power * part) <= RUNGS)


def chart(title: str, unit: str, lines: Sequence[Curve], name_of: Callable[[float], str] = "{:g} s".format, ticks: Sequence[float] = ()) -> str:
    """A figure with all lines over one x, from 0 upwards; `name_of` writes an x at each of `ticks`, or at both ends and the middle. "" for no lines."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if y is not None]
    if not ys:
        return ""
    low, high, most = min(xs), max(xs), max(ys) or 1.0
    step = step_of(most)
    top = step * -(-most // step)

    def right(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - low) / (high - low) if high > low else 0.5)

    def up(y: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - y / top)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for rung in range(round(top / step) + 1):
        y = up(rung * step)
        parts += [f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>', text(LEFT - 6, y + 4, short(rung * step), "end")]
    for x in ticks or sorted({low, (low + high) / 2, high}):
        parts.append(text(right(x), HEIGHT - 8, name_of(x), "end" if x == high > low else "start" if x == low < high else "middle"))
    legend = ""
    for index, line in enumerate(lines):
        colour = f"var(--c{index % COLOURS})"
        parts += _drawn(line, colour, right, up)
        legend += f'<span><i style="background: {colour}"></i>{escape(line.name)}</span>'
    caption = f'{escape(title)} <span class="faint">{escape(unit)}</span>'
    return f'<figure><figcaption>{caption}</figcaption>{"".join(parts)}</svg><div class="legend">{legend}</div></figure>'


def text(x: float, y: float, what: str, anchor: str) -> str:
    """Words in a chart."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(what)}</text>'


def _drawn(line: Curve, colour: str, right: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    """A line's pieces between its holes; a piece of one point is a dot."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in line.points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((right(x), up(y)))
    drawn = []
    for piece in filter(None, pieces):
        if len(piece) == 1:
            drawn.append(f'<circle cx="{piece[0][0]:.1f}" cy="{piece[0][1]:.1f}" r="2.5" fill="{colour}"/>')
        else:
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
            drawn.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
    return drawn


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose first column is of words."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def page(title: str, parts: Sequence[str]) -> str:
    """A page that needs nothing else."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{escape(title)}</title><style>{STYLE}</style></head><body>\n'
        f"<h1>{escape(title)}</h1>\n" + "\n".join(filter(None, parts)) + "\n</body></html>\n"
    )
