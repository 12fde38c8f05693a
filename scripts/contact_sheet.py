"""Draw a contact sheet of the synthetic world, so that a person can see what it is.

python scripts/contact_sheet.py --output sheet.png
"""

from __future__ import annotations

import io
import sys
import textwrap
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import tyro
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from datasets.options import WorldOptions  # noqa: E402
from datasets.posts import Post  # noqa: E402
from datasets.synthetic import SyntheticWorld  # noqa: E402
from training.entry import start  # noqa: E402

_TILE = 240  # pixels of an image's side and of a cell's width
_LINES = 8
_LINE_HEIGHT = 15
_MARGIN = 12
_COLOURS = {"negative": (190, 40, 50), "neutral": (110, 110, 110), "positive": (20, 130, 70)}


@dataclass(frozen=True)
class SheetOptions:
    """Contact sheet of the synthetic world"""

    output: Path = Path("contact_sheet.png")
    """Image file to write."""
    count: int = 24
    """Posts to show."""
    columns: int = 6
    """Posts in a row."""
    only: Literal["all", "conflict", "missing", "duplicate", "sarcasm"] = "all"
    """Which posts to show."""
    world: Annotated[WorldOptions, tyro.conf.arg(name="")] = field(default_factory=WorldOptions)


def truth_of(post: Post) -> str:
    """One or two words on what is special about a post, empty where nothing is."""
    marks = [f"{post.extra['decides']} decides"] if post.extra["conflict"] else []
    marks += [f"no {post.extra['missing']}"] if post.extra["missing"] else []
    marks += ["sarcasm"] if post.extra["sarcasm"] else []
    marks += [f"copy of {int(str(post.extra['duplicate_of']).split('-')[1])}"] if post.extra["duplicate_of"] else []
    return ", ".join(marks)


def is_wanted(post: Post, only: str) -> bool:
    """Whether a post belongs to the kind that --only names."""
    wanted = {
        "all": True,
        "conflict": post.extra["conflict"],
        "missing": post.extra["missing"],
        "duplicate": post.extra["duplicate_of"],
        "sarcasm": post.extra["sarcasm"],
    }
    return bool(wanted[only])


def draw_cell(post: Post, font: ImageFont.FreeTypeFont, bold: ImageFont.FreeTypeFont) -> Image.Image:
    """The post's image with its truth and text below: true sentiment, what text and image say, how strongly."""
    cell = Image.new("RGB", (_TILE, _TILE + (_LINES + 3) * _LINE_HEIGHT), "white")
    draw = ImageDraw.Draw(cell)
    if isinstance(post.image, bytes):
        with Image.open(io.BytesIO(post.image)) as image:
            cell.paste(image.resize((_TILE, _TILE), Image.Resampling.NEAREST), (0, 0))
    else:
        draw.rectangle((0, 0, _TILE - 1, _TILE - 1), outline=(200, 200, 200))
        draw.text((_TILE / 2, _TILE / 2), "no image", fill=(150, 150, 150), font=font, anchor="mm")
    row = _TILE + 4
    draw.text((0, row), str(post.label), fill=_COLOURS[str(post.label)], font=bold)
    draw.text((72, row), truth_of(post), fill=(60, 60, 160), font=font)
    row += _LINE_HEIGHT
    for place, modality, said in ((0, "text", post.text_label), (_TILE // 2, "image", post.image_label)):
        if said is not None:
            words = f"{modality}: {said} {post.extra[f'{modality}_strength']:.1f}"
            draw.text((place, row), words, fill=_COLOURS[said], font=font)
    lines = textwrap.wrap(_printable(post.text or "(no text)"), 34)
    for number, line in enumerate(lines[:_LINES]):
        draw.text((0, row + 4 + (number + 1) * _LINE_HEIGHT), line, fill=(20, 20, 20), font=font)
    return cell


def draw_sheet(options: SheetOptions) -> Image.Image:
    """The grid of posts; raises ValueError where the options ask for what there is not."""
    if options.count < 1 or options.columns < 1:
        raise ValueError(f"--count is {options.count} and --columns {options.columns}; both must be at least 1.")
    world = SyntheticWorld(options.world)
    posts = []
    for post in world.posts():
        if is_wanted(post, options.only):
            posts.append(post)
        if len(posts) == options.count:
            break
    if not posts:
        raise ValueError(f"--only {options.only}: none of the {len(world)} posts of this world is of that kind.")
    fonts = [ImageFont.truetype(_font_file(name), 12) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")]
    cells = [draw_cell(post, *fonts) for post in posts]
    width, height = cells[0].width + _MARGIN, cells[0].height + _MARGIN
    rows = -(-len(cells) // options.columns)
    sheet = Image.new("RGB", (width * min(options.columns, len(cells)) + _MARGIN, height * rows + _MARGIN), "white")
    for number, cell in enumerate(cells):
        row, column = divmod(number, options.columns)
        sheet.paste(cell, (_MARGIN + column * width, _MARGIN + row * height))
    return sheet


def _font_file(name: str) -> str:
    """A font that matplotlib brings along, with many of the emoji."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


@cache
def _known_characters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(_font_file("DejaVuSans.ttf")).get_charmap())


def _printable(text: str) -> str:
    """The text with emoji that the font lacks written as their names."""
    known = _known_characters()
    return "".join(mark if ord(mark) in known else f":{unicodedata.name(mark, '?').lower()}:" for mark in text)


def main(options: SheetOptions) -> None:
    """Draw and write it. Raises ValueError for a user's mistake."""
    sheet = draw_sheet(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.output)
    print(f"{options.output}: {sheet.width} x {sheet.height} pixels")


if __name__ == "__main__":
    start(SheetOptions, main, tyro.conf.OmitArgPrefixes)
