"""Pictures of a report as inline SVG: sharp on every screen and in print, a few kilobytes, without a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 50, 24, 40, 40
COLOURS = ("#1f5fa8", "#c8631b", "#2e7d55", "#8a4f9e", "#7a6a1f", "#4b5563")
"""Dark enough to be told apart on white by people who do not see red and green (and named in words everywhere)."""
MOST_POINTS = 240
"""Points of a line at most; longer ones show means of neighbours."""


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    name: str
    x: np.ndarray
    y: np.ndarray
    dots: bool = False


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers that span `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9 * max(1.0, abs(high)), 1e-12)
    power = 10 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis: 12k, 0.75, 3e-05."""
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:.6g}"


def thin(x: np.ndarray, y: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbouring points, so that at most `most` remain."""
    if len(x) <= most:
        return x, y
    pieces = np.array_split(np.arange(len(x)), most)
    return np.array([x[piece].mean() for piece in pieces]), np.array([y[piece].mean() for piece in pieces])


def _svg(title: str, description: str, body: Sequence[str], height: float = HEIGHT) -> Markup:
    """The picture with its name and description for a screen reader. `body` is escaped already."""
    said = escape(f"{title}. {description}")
    opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{said}">'
    return Markup(opening + "".join(body) + "</svg>")


@dataclass(frozen=True)
class _Axes:
    """Where numbers lie on the picture."""

    x: list[float]
    y: list[float]
    top: float = TOP
    height: float = HEIGHT

    def across(self, value: float) -> float:
        share = (value - self.x[0]) / ((self.x[-1] - self.x[0]) or 1)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def up(self, value: float) -> float:
        share = (value - self.y[0]) / ((self.y[-1] - self.y[0]) or 1)
        return round(self.height - BOTTOM - share * (self.height - BOTTOM - self.top), 1)

    def draw(self, x_label: str, percent_x: bool = False, percent_y: bool = False) -> list[str]:
        """Grid, numbers and the name of the horizontal axis."""
        parts = []
        for value in self.y:
            name = f"{100 * value:g}%" if percent_y else short(value)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.up(value)}" y2="{self.up(value)}"/>'
            )
            parts.append(f'<text x="{LEFT - 7}" y="{self.up(value) + 4:g}" text-anchor="end">{name}</text>')
        for value in self.x:
            name = f"{100 * value:g}%" if percent_x else short(value)
            place = self.across(value)
            parts.append(f'<text x="{place}" y="{self.height - BOTTOM + 17:g}" text-anchor="middle">{name}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle:g}" y="{self.height - 5:g}" text-anchor="middle">{escape(x_label)}</text>')
        return parts


def _legend(names: Sequence[str], colours: Sequence[str]) -> list[str]:
    """Names beside a patch of their colour, in one line above the picture."""
    parts, place = [], float(LEFT)
    for name, colour in zip(names, colours, strict=True):
        parts.append(f'<rect x="{place:g}" y="9" width="12" height="12" rx="3" fill="{colour}"/>')
        parts.append(f'<text class="legend" x="{place + 17:g}" y="20">{escape(name)}</text>')
        place += 17 + 7.4 * len(name) + 16
    return parts


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    fraction: bool = False,
    best: tuple[float, float] | None = None,
) -> Markup:
    """Lines over training steps. `fraction`: values of 0 to 1, shown in percent. `best`: a point x, y to circle."""
    thinned = [Series(one.name, *thin(one.x, one.y), one.dots) for one in series]
    x, y = np.concatenate([one.x for one in thinned]), np.concatenate([one.y for one in thinned])
    low, high = float(y.min()), float(y.max())
    vertical = ticks(low, high) if fraction else ticks(min(0.0, low), high)
    if len(vertical) < 2:
        vertical = [vertical[0], vertical[0] + (0.1 if fraction else 1.0)]
    horizontal = [value for value in ticks(0, float(x.max()), 4) if value <= x.max()] or [0.0]
    axes = _Axes([0.0, *horizontal[1:-1], float(x.max())] if len(horizontal) > 1 else [0.0, float(x.max())], vertical)
    parts = axes.draw("step", percent_y=fraction) + _legend([one.name for one in thinned], COLOURS[: len(thinned)])
    said = []
    for one, colour in zip(thinned, COLOURS, strict=False):
        points = [(axes.across(px), axes.up(py)) for px, py in zip(one.x, one.y, strict=True)]
        path = " ".join(f"{px:g},{py:g}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if one.dots or len(points) == 1:
            parts += [f'<circle cx="{px:g}" cy="{py:g}" r="2.6" fill="{colour}"/>' for px, py in points]
        said.append(f"{one.name}: first {one.y[0]:.3g}, last {one.y[-1]:.3g}")
    if best is not None:
        px, py = axes.across(best[0]), axes.up(best[1])
        parts.append(f'<circle cx="{px}" cy="{py}" r="6" fill="none" stroke="#111827" stroke-width="1.5"/>')
    return _svg(title, "; ".join(said), parts)


def reliability_chart(found: Mapping[str, np.ndarray], error: float) -> Markup:
    """Accuracy in each bin of confidence (bars) against the diagonal, and how many posts a bin has (strip below)."""
    count, accuracy = found["count"], found["accuracy"]
    bins = len(count)
    axes = _Axes([0, 0.2, 0.4, 0.6, 0.8, 1], [0, 0.25, 0.5, 0.75, 1], top=34, height=300)
    parts = axes.draw("confidence", percent_x=True, percent_y=True)
    parts += _legend(["right answers", "posts"], [COLOURS[0], "#9db7d5"])
    strip = 300 - BOTTOM
    for index in np.flatnonzero(count):
        left, right = axes.across(index / bins) + 1, axes.across((index + 1) / bins) - 1
        top = axes.up(float(accuracy[index]))
        said = f"confidence {index / bins:.0%} to {(index + 1) / bins:.0%}: "
        said += f"{count[index]} posts, {accuracy[index]:.0%} right"
        parts.append(
            f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{strip - top:g}" fill="{COLOURS[0]}" '
            f'fill-opacity=".82"><title>{said}</title></rect>'
        )
        size = max(1.0, 36 * float(count[index] / count.max()))
        parts.append(
            f'<rect x="{left:g}" y="{strip - size:g}" width="{right - left:g}" height="{size:g}" fill="#9db7d5" '
            f'stroke="#fff" stroke-width=".6"><title>{said}</title></rect>'
        )
    parts.append(
        f'<line x1="{axes.across(0)}" y1="{axes.up(0)}" x2="{axes.across(1)}" y2="{axes.up(1)}" class="ideal"/>'
        f'<text class="mark" x="{axes.across(0.03)}" y="{axes.up(0.9)}">ECE {error:.3f}</text>'
    )
    return _svg("Reliability", f"Expected calibration error {error:.3f}", parts, 300)


def share_bars(
    title: str, rows: Mapping[str, Sequence[float] | np.ndarray], names: Sequence[str], colours: Sequence[str]
) -> Markup:
    """A horizontal bar for each row, cut into shares that add up to one, with the percentages inside."""
    left, bar, gap = 128, 24, 12
    parts = _legend(names, colours)
    said = []
    for position, (row, shares) in enumerate(rows.items()):
        y, x = 36 + position * (bar + gap), float(left)
        parts.append(f'<text x="{left - 9}" y="{y + 16}" text-anchor="end">{escape(row)}</text>')
        for share, colour in zip(shares, colours, strict=True):
            width = float(share) * (WIDTH - RIGHT - left)
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{bar}" fill="{colour}"/>')
            if share >= 0.1:
                parts.append(f'<text class="inside" x="{x + width / 2:.1f}" y="{y + 17}">{share:.0%}</text>')
            x += width
        said.append(f"{row}: " + ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True)))
    return _svg(title, "; ".join(said), parts, 36 + len(rows) * (bar + gap))
