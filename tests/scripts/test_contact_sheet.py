"""The contact sheet: a picture of as many posts as asked, of the kind asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from datasets.options import WorldOptions
from datasets.synthetic import SyntheticWorld
from scripts.contact_sheet import SheetOptions, draw_sheet, is_wanted, truth_of

ROOT = Path(__file__).resolve().parents[2]


def test_command_writes_a_picture(tmp_path: Path) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    command = [sys.executable, "scripts/contact_sheet.py", "--output", str(sheet), "--count", "4", "--columns", "2"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    with Image.open(sheet) as image:
        assert image.width > 2 * 240 and image.height > 2 * 240
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 1000


def test_sheet_has_a_cell_for_each_post() -> None:
    three = draw_sheet(SheetOptions(count=3, columns=3))
    one = draw_sheet(SheetOptions(count=1, columns=3))
    assert three.height == one.height and three.width > 2.5 * one.width


def test_kinds_are_told_apart() -> None:
    posts = list(SyntheticWorld(WorldOptions(world_posts=200, world_duplicates=0.2)).posts())
    conflicts = [post for post in posts if is_wanted(post, "conflict")]
    assert conflicts and all("decides" in truth_of(post) for post in conflicts)
    copies = [post for post in posts if is_wanted(post, "duplicate")]
    assert copies and all(re.search(r"copy of \d+$", truth_of(post)) for post in copies)
    assert len([post for post in posts if is_wanted(post, "all")]) == len(posts)


def test_a_kind_that_the_world_lacks_is_refused() -> None:
    world = WorldOptions(world_posts=10, world_conflict=0.0)
    with pytest.raises(ValueError, match="--only conflict: none of the 10 posts"):
        draw_sheet(SheetOptions(only="conflict", world=world))
    with pytest.raises(ValueError, match="--count is 0"):
        draw_sheet(SheetOptions(count=0))


def test_a_folder_in_the_files_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sheet.png").mkdir()
    command = [sys.executable, "scripts/contact_sheet.py", "--count", "1", "--output", str(tmp_path / "sheet.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr.startswith(f"contact_sheet.py: {tmp_path / 'sheet.png'}: Is a directory")
        and "Trace" not in done.stderr
    )
