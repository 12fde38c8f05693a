"""What lies beside the path that is given belongs to the posts: where it comes or changes, they are ingested anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.ingest import open_posts
from datasets.options import DataOptions, WorldOptions
from datasets.readers import find, readers
from tests.datasets.published import write

PAIRS = "id,text,label,split\n21,Yum,1,train\n22,Home,0,test\n"
TEXTS = "id,text,label,split\n23,No picture,0,test\n"
FOLDS = {"valid_pairlist.txt": "1,1,0,1\n2,2,2,2\n", "texts/1.txt": "words", "texts/2.txt": "more words"} | {
    f"splits/{name}_{fold}.txt": "0\n" for name in ("train", "val", "test") for fold in (1, 3)
}
LISTS = {
    f"m/{name}.json": json.dumps([{"id": "4", "text": name, "emotion_label": 1}], indent=2)
    for name in ("train", "dev", "test")
}
TRANSLATED = json.dumps([{"id": "4", "text_translation": "said otherwise"}])


@pytest.mark.parametrize(
    ("dataset", "given", "there", "supplied"),
    [
        ("data_key", "data_key_mic.csv", {"data_key_mic.csv": PAIRS}, {"text_data_mic.csv": TEXTS}),
        ("mvsa_folds", "splits/test_3.txt", FOLDS, {"valid_pairlist.txt": "1,1,0,1\n"}),
        ("mvsa_folds", "splits/test_3.txt", FOLDS, {"splits/train_3.txt": "1\n\n"}),
        ("mvsa_folds", "splits/test_3.txt", FOLDS, {"texts/1.txt": "other words"}),
        ("clmlf", "m", LISTS, {"MVSA_translation.json": TRANSLATED}),
    ],
)
def test_a_file_beside_gives_another_store(
    dataset: str, given: str, there: dict[str, str], supplied: dict[str, str], tmp_path: Path
) -> None:
    folder = write(tmp_path / "d", there)
    options = DataOptions(data_dir=str(folder / given), dataset=dataset, cache_dir=str(tmp_path / "cache"))
    first = open_posts(options, WorldOptions())
    assert open_posts(options, WorldOptions()).path == first.path
    write(folder, supplied)
    second = open_posts(options, WorldOptions())
    assert second.path != first.path and second.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("dataset", "given", "there", "image"),
    [
        ("data_key", "data_key_mic.csv", {"data_key_mic.csv": PAIRS}, "MIC/spc_imgs_twitter/21_1.png"),
        ("micd", "data_key_mic.csv", {"data_key_mic.csv": PAIRS}, "images/21_1.png"),
        ("mvsa_folds", "splits/test_3.txt", FOLDS, "images/1.png"),
        ("clmlf", "m", LISTS, "dataset_image/4.png"),
    ],
)
def test_an_image_of_any_suffix_is_seen_when_it_comes(
    dataset: str, given: str, there: dict[str, str], image: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "d", there)
    options = DataOptions(data_dir=str(folder / given), dataset=dataset, cache_dir=str(tmp_path / "cache"))
    assert not open_posts(options, WorldOptions()).has_image.any()
    write(folder, {}, [image])
    assert open_posts(options, WorldOptions()).has_image.any()


def test_a_reader_of_one_path_looks_at_no_other(tmp_path: Path) -> None:
    """Their stores have the keys that they had: of what is read elsewhere nothing is added."""
    write(tmp_path, FOLDS | LISTS | {"n/10-flod-1/test.json": "[]", "n/HFM.json": "[]", "data_key_mic.csv": PAIRS})
    for layout in readers().values():
        for path in (tmp_path, tmp_path / "m", tmp_path / "n", tmp_path / "nowhere", tmp_path / "data_key_mic.csv"):
            assert layout.sources(path) == [path]
    assert find("mvsa_folds").sources(Path("/test_3.txt")) == [Path("/test_3.txt")]
