"""A line chart as a small SVG file, readable on light and dark pages.

Owns the drawing. Knows nothing of what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 540, 260
LEFT, RIGHT, TOP, BOTTOM = 80, 130, 14, 40
COLOURS = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd")
INK = "#808080"


@dataclass(frozen=True)
class Line:
    """A named sequence of points, ascending in x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Lines over a logarithmic x; y is logarithmic where it spans more than `LOG_FROM`."""

    x_name: str
    y_name: str
    lines: Sequence[Line]

    LOG_FROM = 30

    def svg(self) -> str:
        """The file's text."""
        xs = sorted({x for line in self.lines for x, _ in line.points})
        ys = [y for line in self.lines for _, y in line.points]
        x_of = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, log=True)
        ticks = _ticks(min(ys), max(ys), log=max(ys) > self.LOG_FROM * min(ys))
        y_of = _scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, log=ticks[0] > 0)
        parts = [_text(LEFT - 6, y_of(t) + 4, f"{t:,.6g}", "end") for t in ticks]
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(t)}" y2="{y_of(t)}" '
            f'stroke="{INK}" stroke-opacity="0.3"/>'
            for t in ticks
        ]
        parts += [_text(at, HEIGHT - BOTTOM + 16, name) for at, name in _apart(xs, x_of)]
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, self.x_name))
        parts.append(
            f'<g transform="rotate(-90)">{_text(-(TOP + HEIGHT - BOTTOM) / 2, 12, self.y_name)}</g>'
        )
        for line, colour in zip(self.lines, COLOURS, strict=False):
            at = [(x_of(x), y_of(y)) for x, y in line.points]
            path = " ".join(f"{x},{y}" for x, y in at)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in at]
            parts.append(_text(at[-1][0] + 8, at[-1][1] + 4, line.name, "start", colour))
        body = "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
        )


def _scale(
    low: float, high: float, start: float, end: float, *, log: bool
) -> Callable[[float], float]:
    """From values between ``low`` and ``high`` to places between ``start`` and ``end``."""
    bend = math.log if log else float
    span = bend(high) - bend(low) or 1.0
    return lambda value: round(start + (end - start) * (bend(value) - bend(low)) / span, 1)


def _apart(xs: Sequence[float], x_of: Callable[[float], float]) -> list[tuple[float, str]]:
    """Places and names of those of ``xs`` whose names do not run into the one before."""
    kept: list[tuple[float, str]] = []
    for x in xs:
        at, name = x_of(x), f"{x:,.6g}"
        if not kept or at - kept[-1][0] > 4 * (len(name) + len(kept[-1][1])) + 4:
            kept.append((at, name))
    return kept


def _ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Round values around ``low`` and ``high``: decades, or four to six equal steps from zero."""
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**n for n in range(first, last + 1)]
    unit = 10.0 ** math.floor(math.log10(high / 4))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m * 6 >= high)
    return [step * n for n in range(math.ceil(high / step) + 1)]


def _text(x: float, y: float, text: str, anchor: str = "middle", colour: str = INK) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
