"""The folder of readers: which layout a path has, and what is said where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import readers
from datasets.readers.base import class_name, natural_order, read_text_file


def mvsa(folder: Path, header: str) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "1.jpg").write_bytes(b"image")
    (folder / "labelResultAll.txt").write_text(header + "\n")
    return folder


def test_every_layout_is_found_by_its_name() -> None:
    known = {"clmlf", "data_key", "mvsa_folds", "mvsa_multiple", "mvsa_single", "scrd"}
    own = {"class_folders", "image_folder", "table"}
    others = {"mhp", "micd", "mmsd2", "msd", "tir", "tir_image", "tir_text", "twitter15", "twitter17"}
    emotions = {"flickr_emotion", "reddit_emotion", "tumemo"}
    crawls = {"twitter_v2", "t4sa_crawl", "t4sa_variant", "webdataset"}
    assert set(readers.readers()) == known | own | others | emotions | crawls
    for name, layout in readers.readers().items():
        assert readers.find(name) is layout
        assert layout.needs


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"--dataset cifar10: .*mvsa_single: a folder with .*labelResultAll\.txt"):
        readers.find("cifar10")


def test_two_layouts_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="both called 'scrd'"):
        readers.collect(["scrd", "mvsa_single", "scrd"])


def test_a_file_without_a_layout_and_a_failing_import_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tabular\.py holds no Reader"):
        readers.collect(["tabular"])
    with pytest.raises(ModuleNotFoundError):
        readers.collect(["not_there"])


def test_each_layout_is_recognised(tmp_path: Path) -> None:
    single = mvsa(tmp_path / "single", "ID\ttext,image")
    multiple = mvsa(tmp_path / "multiple", "ID\ttext,image\ttext,image\ttext,image")
    scrd = tmp_path / "scrd"
    (scrd / "data").mkdir(parents=True)
    (scrd / "test.json").write_text("{}")
    table = tmp_path / "posts.CSV"
    table.write_text("id,text,label\n")
    folders = tmp_path / "folders"
    for name in ("cat", "dog"):
        (folders / "train" / name).mkdir(parents=True)
        (folders / "train" / name / "1.PNG").write_bytes(b"image")
    images = tmp_path / "images"
    images.mkdir()
    (images / "1.jpg").write_bytes(b"image")
    found = {path.name: readers.recognise(path).name for path in (single, multiple, scrd, table, folders, images)}
    assert found == {
        "single": "mvsa_single",
        "multiple": "mvsa_multiple",
        "scrd": "scrd",
        "posts.CSV": "table",
        "folders": "class_folders",
        "images": "image_folder",
    }


def test_a_particular_layout_goes_before_a_generic_one(tmp_path: Path) -> None:
    (mvsa(tmp_path, "ID\ttext,image") / "copy.csv").write_text("id,text,label\n")
    assert readers.recognise(tmp_path).name == "mvsa_single"


def test_two_particular_layouts_must_be_told_apart_by_the_user(tmp_path: Path) -> None:
    (mvsa(tmp_path, "ID\ttext,image") / "train.json").write_text("{}")
    with pytest.raises(ValueError, match="mvsa_single and scrd: say which with --dataset"):
        readers.recognise(tmp_path)


def test_nothing_there_and_nothing_known_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist: check --data_dir"):
        readers.recognise(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"no layout that is known.*class folders.*--dataset.*mvsa_single, "):
        readers.recognise(tmp_path)


@pytest.mark.parametrize("name", ["mvsa_single", "mvsa_multiple", "scrd", "class_folders", "image_folder"])
def test_a_folder_that_is_missing_or_a_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, what in ((tmp_path / "nowhere", "missing"), (tmp_path / "file", "a file")):
        with pytest.raises(ValueError, match=f"{path.name} should be a folder of posts but is {what}"):
            next(readers.find(name)().read(path, readers.ReaderOptions()))


def test_texts_of_any_bytes_are_read(tmp_path: Path) -> None:
    file = tmp_path / "1.txt"
    file.write_bytes("so glad 😀 ".encode() + b"caf\xe9\r\n")
    assert read_text_file(file) == "so glad 😀 café"
    file.write_bytes(b" \n")
    assert read_text_file(file) is None
    assert read_text_file(tmp_path / "2.txt") is None


def test_sentiments_are_lower_case_and_other_names_as_they_stand() -> None:
    assert [class_name(word) for word in (" Positive", "NEUTRAL", "Happy ")] == ["positive", "neutral", "Happy"]


def test_ids_are_ordered_as_numbers() -> None:
    assert sorted(["10", "b", "2", "a1", "1"], key=natural_order) == ["1", "2", "10", "a1", "b"]
    assert sorted(["1", "01", "001"], key=natural_order) == sorted(["001", "01", "1"], key=natural_order)
