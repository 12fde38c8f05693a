"""What the synthetic world's images show: motifs that can each look sad, indifferent or happy.

A motif is a function of a valence from -1 (negative) over 0 (neutral) to 1 (positive): the curve of a mouth, the bend
of a stem, the weather over a hill. Each is drawn in its own unit frame (about -1 to 1, y downwards) by a pen that knows
place, size, tilt and fading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from datasets.synthetic_draws import between, chance, pick

Colour = tuple[int, int, int]
Point = tuple[float, float]

_CIRCLE = [(math.cos(2 * math.pi * k / 20), math.sin(2 * math.pi * k / 20)) for k in range(20)]
_INK: Colour = (40, 34, 44)
_BRIGHT: tuple[Colour, ...] = (
    (235, 64, 60),
    (250, 170, 40),
    (60, 160, 235),
    (240, 100, 170),
    (110, 200, 90),
    (150, 90, 220),
)
_SKIN: tuple[Colour, ...] = ((252, 214, 70), (245, 200, 165), (200, 145, 105), (130, 88, 62), (250, 190, 90))
_LEAF: Colour = (80, 150, 70)
_WILTED: Colour = (125, 105, 70)


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies this share of the way from the first to the second."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return a, b, c


@dataclass(frozen=True)
class Pen:
    """Draws in a motif's unit frame: moved to (x, y) pixels, scaled, tilted, and faded towards the paper's colour."""

    draw: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float  # pixels of one unit
    tilt: float  # radians
    fade: float  # 0: full colours, 1: invisible
    paper: Colour

    def _at(self, points: Sequence[Point]) -> list[Point]:
        cos, sin = self.scale * math.cos(self.tilt), self.scale * math.sin(self.tilt)
        return [(self.x + px * cos - py * sin, self.y + px * sin + py * cos) for px, py in points]

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon(self._at(points), fill=blend(colour, self.paper, self.fade))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A filled ellipse with the centre (x, y)."""
        self.shape([(x + rx * cos, y + ry * sin) for cos, sin in _CIRCLE], colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 0.1) -> None:
        """An open line through the points."""
        pixels = max(1, round(width * self.scale))
        self.draw.line(self._at(points), fill=blend(colour, self.paper, self.fade), width=pixels, joint="curve")


Motif = Callable[[Pen, float, np.random.Generator], None]


def face(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Mouth up or down, brows, and a tear or an open mouth at the extremes."""
    pen.oval(0, 0, 1, 1, pick(rng, _SKIN))
    for side in (-1, 1):
        pen.oval(0.36 * side, -0.22, 0.12, 0.17, _INK)
        lift = 0.16 * min(0.0, valence) * side
        pen.line([(0.36 * side - 0.2, -0.52 - lift), (0.36 * side + 0.2, -0.52 + lift)], _INK, 0.08)
    mouth = [(0.09 * k, 0.42 + 0.36 * valence * (0.6 - (0.2 * k) ** 2)) for k in range(-5, 6)]
    if valence > 0.7:
        pen.shape(mouth, (170, 30, 40))
    pen.line(mouth, _INK, 0.11)
    if valence < -0.7:
        pen.oval(-0.5, 0.1, 0.08, 0.16, (80, 150, 240))


def weather(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Sun with rays, a cloud before the sun, or a dark cloud with rain."""
    if valence > -0.4:
        if valence > 0.3:
            for k in range(10):
                angle = 0.628 * k
                tip = 0.6 + 0.45 * valence
                pen.line([(0, 0), (tip * math.cos(angle), tip * math.sin(angle))], (255, 190, 30), 0.12)
        pen.oval(0, 0, 0.55, 0.55, (255, 215, 60))
    if valence < 0.3:
        grey = blend((240, 240, 245), (75, 80, 95), max(0.0, -valence))
        for x, y, r in ((-0.5, 0.2, 0.38), (0.0, 0.0, 0.48), (0.5, 0.2, 0.38)):
            pen.oval(x, y + 0.1, r, r * 0.8, grey)
        for _ in range(round(9 * max(0.0, -valence))):
            x, y = between(rng, -0.8, 0.7), between(rng, 0.55, 0.9)
            pen.line([(x, y), (x - 0.08, y + 0.3)], (60, 90, 190), 0.08)


def figure(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """A person: arms thrown up, hanging to the side, or the head bowed."""
    colour = pick(rng, _BRIGHT)
    bow = 0.3 * max(0.0, -valence)
    pen.line([(0, 0.35), (-0.3, 1.0)], _INK, 0.17)
    pen.line([(0, 0.35), (0.3, 1.0)], _INK, 0.17)
    pen.line([(bow * 0.7, -0.35), (0, 0.4)], colour, 0.34)
    for side in (-1, 1):
        elbow = (0.42 * side + bow, -0.2 - 0.3 * valence)
        hand = (0.68 * side * (1 - bow) + bow, -0.15 - 0.75 * valence)
        pen.line([(bow * 0.7, -0.3), elbow, hand], colour, 0.14)
    pen.oval(bow * 1.3, -0.66 + 0.6 * bow, 0.25, 0.25, pick(rng, _SKIN))


def flower(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Upright and open, half closed, or wilted."""
    droop = 0.5 - 0.5 * valence
    head = (0.75 * math.sin(2.2 * droop), 0.35 - 0.95 * math.cos(2.0 * droop))
    pen.line(
        [(0, 1.0), (0, 0.2), ((head[0]) * 0.5, min(0.0, head[1]) - 0.12), head], blend(_LEAF, _WILTED, droop), 0.11
    )
    pen.oval(0.22, 0.62 + 0.15 * droop, 0.25, 0.1, blend(_LEAF, _WILTED, droop))
    petals = blend(pick(rng, _BRIGHT), _WILTED, 0.75 * droop)
    size = 0.2 + 0.1 * valence
    for k in range(6):
        pen.oval(head[0] + 0.3 * math.cos(1.047 * k), head[1] + 0.3 * math.sin(1.047 * k), size, size, petals)
    pen.oval(head[0], head[1], 0.2, 0.2, blend((255, 220, 70), _WILTED, 0.8 * droop))


def balloons(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Three balloons: flying, tied low, or shrivelled on the ground."""
    full = 0.36 + 0.12 * valence
    for x in (-0.6, 0.0, 0.6):
        y = 0.3 - 0.75 * valence + between(rng, -0.15, 0.15)
        pen.line([(x, y), (x * 0.4, max(y + 0.3, 1.0) if valence > -0.3 else y + 0.2)], _INK, 0.05)
        pen.oval(
            x, y, full, full * (1.1 + 0.3 * valence), blend(pick(rng, _BRIGHT), (110, 105, 110), 0.5 - 0.5 * valence)
        )


def heart(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Whole and red, pale, or grey and broken."""
    colour = blend((225, 30, 60), (95, 85, 100), 0.5 - 0.5 * valence)
    for side in (-1, 1):
        gap = 0.25 * max(0.0, -valence) * side
        pen.oval(0.42 * side + gap, -0.3, 0.5, 0.48, colour)
        pen.shape([(gap, -0.4), (0.9 * side + gap, -0.12), (gap, 0.95), (0, 0.5)], colour)
    if valence < -0.3:
        pen.line([(0, -0.6), (0.16, -0.25), (-0.14, 0.1), (0.12, 0.4), (0, 0.9)], pen.paper, 0.1 - 0.12 * valence)
    if valence > 0.4 and chance(rng, 0.7):
        pen.line([(-0.9, 0.7), (0.9, -0.7)], (250, 200, 60), 0.1)


def thumb(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """A fist with the thumb up, sideways or down."""
    skin = pick(rng, _SKIN)
    pen.shape([(-0.95, -0.3), (-0.45, -0.3), (-0.45, 0.4), (-0.95, 0.4)], pick(rng, _BRIGHT))
    pen.line(
        [(-0.1, 0.05), (-0.1 + 0.85 * math.cos(1.45 * valence), 0.05 - 0.95 * math.sin(1.45 * valence))], skin, 0.3
    )
    pen.shape([(-0.5, -0.35), (0.35, -0.35), (0.45, 0.45), (-0.5, 0.45)], skin)
    for y in (-0.12, 0.08, 0.28):
        pen.line([(-0.05, y), (0.4, y)], _INK, 0.05)


def tree(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """In blossom, green, or bare."""
    trunk = (105, 75, 50)
    pen.line([(0, 1.0), (0, -0.2)], trunk, 0.2)
    for side in (-1, 1):
        pen.line([(0, 0.3), (0.45 * side, -0.25), (0.55 * side, -0.7)], trunk, 0.1)
    pen.line([(0, -0.1), (0.1, -0.85)], trunk, 0.1)
    crown = 0.42 * min(1.0, max(0.0, valence + 0.75))
    for x, y in ((-0.45, -0.3), (0.45, -0.3), (0.0, -0.65), (0.0, -0.15)):
        if crown > 0.08:
            pen.oval(x, y, crown, crown, _LEAF)
    blossom = pick(rng, _BRIGHT)
    for _ in range(round(14 * max(0.0, valence - 0.2))):
        pen.oval(between(rng, -0.75, 0.75), between(rng, -0.9, 0.1), 0.11, 0.11, blossom)


def house(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Lights on, an ordinary day, or on fire."""
    wall = blend(pick(rng, _BRIGHT), (200, 190, 180), 0.6 - 0.3 * valence)
    pen.shape(
        [(-0.75, -0.15), (0.75, -0.15), (0.75, 0.9), (-0.75, 0.9)], blend(wall, (60, 55, 55), max(0.0, -valence) * 0.7)
    )
    pen.shape([(-0.95, -0.15), (0, -0.9), (0.95, -0.15)], (120, 60, 50))
    glow = blend((120, 150, 175), (255, 235, 90), max(0.0, valence))
    for x in (-0.38, 0.38):
        pen.shape([(x - 0.2, 0.1), (x + 0.2, 0.1), (x + 0.2, 0.5), (x - 0.2, 0.5)], glow if valence > -0.4 else _INK)
    for x in (-0.6, -0.1, 0.4):
        if valence < -0.3:
            height = -valence * between(rng, 0.7, 1.1)
            pen.shape([(x - 0.25, 0.0), (x + 0.05, -height), (x + 0.3, 0.0)], (245, 110, 30))
            pen.shape([(x - 0.12, 0.0), (x + 0.03, -0.5 * height), (x + 0.15, 0.0)], (255, 210, 60))


def boat(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Under full sail, at anchor with the sail down, or sinking."""
    lean = 0.9 * max(0.0, -valence)
    sunk = Pen(pen.draw, pen.x, pen.y + 0.4 * lean * pen.scale, pen.scale, pen.tilt + lean, pen.fade, pen.paper)
    sunk.line([(0, 0.4), (0, -0.95)], (100, 70, 50), 0.09)
    if valence > 0.25:
        reach = 0.4 + 0.5 * valence
        sunk.shape([(0.06, -0.9), (reach, 0.2), (0.06, 0.2)], pick(rng, _BRIGHT))
        sunk.shape([(-0.06, -0.7), (-0.6 * reach, 0.2), (-0.06, 0.2)], (250, 250, 250))
    sunk.shape([(-0.8, 0.35), (0.8, 0.35), (0.5, 0.75), (-0.5, 0.75)], (140, 80, 50))
    pen.line([(0.2 * k - 1, 0.8 + 0.08 * (k % 2)) for k in range(11)], (50, 110, 190), 0.16)


def cone(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """Ice cream: three scoops, one scoop, or fallen to the ground."""
    scoop = pick(rng, _BRIGHT)
    if valence < -0.3:
        pen.oval(0.0, 0.75, 0.35 - 0.5 * valence, 0.2, scoop)
        pen.shape([(-0.3, 0.6), (0.35, 0.65), (0.15, -0.35)], (215, 165, 95))
        return
    for y in (-0.75, -0.4)[: 0 if valence < 0.3 else 1 + (valence > 0.6)]:
        pen.oval(0.0, y, 0.36, 0.34, pick(rng, _BRIGHT))
    pen.oval(0.0, -0.05, 0.42, 0.36, scoop)
    pen.shape([(-0.42, 0.08), (0.42, 0.08), (0, 1.0)], (215, 165, 95))


def chart(pen: Pen, valence: float, rng: np.random.Generator) -> None:
    """A curve on white: rising, level, or falling."""
    pen.shape([(-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8)], (245, 245, 240))
    pen.line([(-0.85, -0.65), (-0.85, 0.65), (0.85, 0.65)], _INK, 0.07)
    points = [(0.35 * k, -0.26 * k * valence + between(rng, -0.1, 0.1)) for k in range(-2, 3)]
    pen.line(points, pick(rng, _BRIGHT), 0.13)
    pen.oval(*points[-1], 0.12, 0.12, _INK)


MOTIFS: tuple[Motif, ...] = (face, weather, figure, flower, thumb, heart, balloons, tree, house, boat, cone, chart)
"""From common to rare."""
