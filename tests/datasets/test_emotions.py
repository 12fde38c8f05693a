"""Emotions of posts: TumEmo, and the Reddit and Flickr sets of common-space fusion."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, read, refused, stored, write

TUMEMO = {
    "all_data_id_and_label.txt": "id\tlabel\n0\tHappy\n1\tangry\n2\tSurprised\n3\n\n4\tSad\n../5\tSad\n",
    "all_data/0.txt": "so good",
    "all_data/1.txt": " ",
    "all_data/4.txt": "gone",
}
REDDIT = {
    "happy.csv": 'id,name,url,title,permalink,subreddit\n3x,t3_3x,http://i/a.jpg,"My, dog",/r/happy/3x,happy\n',
    "rage.csv": "id,name,url,title,permalink,subreddit\n4x,t3_4x,u,Again,/r,rage\n"
    "5x,t,u,Off,/r,aww\n6x,t,u\n,t,u,No id,/r,rage\n",
    "notes.csv": "id,title\n7x,not of this set\n",
}
FLICKR = {
    "agg/awe_agg.csv": "awe,http://farm1.staticflickr.com/1/2_3.jpg,1,4\nawe,http://f/9.jpg,3,2\nawe,http://f/10.jpg\n",
    "agg/fear_agg.csv": "fear,http://f/8.jpg,0,5\nfear,http://f/..,0,5\nfear,http://f/7.jpg,0,many\n",
    "agg/imgs/awe/2_3.txt": "The canyon",
    "agg/imgs/awe/9.txt": "Nobody agrees",
}


def test_tumemo(tmp_path: Path) -> None:
    write(tmp_path / "t", TUMEMO, ["all_data/1.jpg", "all_data/0.jpg"])
    assert read("tumemo", tmp_path / "t")[0] == Post("0", "so good", tmp_path / "t" / "all_data" / "0.jpg", "Happy")
    store, quarantine = stored("tumemo", tmp_path / "t", tmp_path / "store")
    assert store.classes == ("Angry", "Bored", "Calm", "Fear", "Happy", "Love", "Sad")
    assert store.label.tolist() == [4, 0, 6]
    assert store.has_image.tolist() == [True, True, False]
    assert store.has_text.tolist() == [True, False, True]
    assert quarantine == {
        ("4", "image", "missing"),
        ("all_data_id_and_label.txt, line 4", "post", "unknown label 'Surprised'"),
        ("all_data_id_and_label.txt, line 5", "post", "malformed row"),
        ("all_data_id_and_label.txt, line 8", "post", "malformed row"),
    }


def test_reddit(tmp_path: Path) -> None:
    write(tmp_path / "r", REDDIT, ["images/3x.png"])
    (tmp_path / "r" / "a folder.csv").mkdir()
    store, quarantine = stored("reddit_emotion", tmp_path / "r", tmp_path / "store")
    assert (store.ids(range(len(store))), store.texts(range(len(store)))) == (["3x", "4x"], ["My, dog", "Again"])
    assert store.classes == ("anger", "disgust", "fear", "joy")
    assert store.label.tolist() == [3, 0]
    assert store.has_image.tolist() == [True, False]
    assert quarantine == {
        ("4x", "image", "missing"),
        ("rage.csv, line 3", "post", "unknown subreddit 'aww'"),
        ("rage.csv, line 4", "post", "malformed row"),
        ("rage.csv, line 5", "post", "no id"),
    }
    assert len(posts("reddit_emotion", tmp_path / "r")) == 2


def test_flickr(tmp_path: Path) -> None:
    write(tmp_path / "f", FLICKR, ["agg/imgs/awe/2_3.jpg", "agg/imgs/fear/8.jpg"])
    assert posts("flickr_emotion", tmp_path / "f" / "agg") == posts("flickr_emotion", tmp_path / "f")
    store, quarantine = stored("flickr_emotion", tmp_path / "f", tmp_path / "store")
    assert store.ids(range(len(store))) == ["awe/2_3.jpg", "awe/9.jpg", "fear/8.jpg"]
    assert store.texts(range(len(store))) == ["The canyon", "Nobody agrees", ""]
    assert [store.classes[label] if label >= 0 else None for label in store.label] == ["awe", None, "fear"]
    assert store.column("agree").tolist() == [4, 2, 5]
    assert quarantine == {
        ("awe/9.jpg", "image", "missing"),
        ("awe_agg.csv, line 3", "post", "malformed row"),
        ("fear_agg.csv, line 2", "post", "malformed row"),
        ("fear_agg.csv, line 3", "post", "malformed row"),
    }


def test_broken_rows_are_told_by_place(tmp_path: Path) -> None:
    assert len(refused("reddit_emotion", write(tmp_path, REDDIT))) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tumemo", r"all_data_id_and_label\.txt is missing"),
        ("reddit_emotion", "holds no CSV with the columns id, title, subreddit and permalink"),
        ("flickr_emotion", r"holds no table <emotion>_\*\.csv of amusement, anger"),
    ],
)
def test_missing_files_are_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(find(name)().read(tmp_path, ReaderOptions()))
