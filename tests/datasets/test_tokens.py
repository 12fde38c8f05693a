"""Token ids: tokenised once, read by row, padded to the longest."""

from __future__ import annotations

import errno
import os
import pickle

import numpy as np
import pytest

from datasets import tokens as tokens_module
from datasets.folders import new_folder
from datasets.store import PostStore, StoreWriter
from datasets.tokens import TokenCache, tokenizer_fingerprint, train_tokenizer

TEXTS = ["I love this", None, "so sad 😢 #rain", "word " * 30, "I love this 😢", "x"]


def write_store(path, texts, paraphrases=None):
    with StoreWriter(path, ("negative", "neutral", "positive")) as writer:
        for number, text in enumerate(texts):
            more = paraphrases[number] if paraphrases else None
            writer.add(str(number), text=text, image=b"jpeg", label="neutral", paraphrase=more)
    return PostStore(path)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [text or "" for text in TEXTS] * 3
    return train_tokenizer(texts, tmp_path_factory.mktemp("tokenizer") / "own", vocab_size=400)


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store", TEXTS, ["said otherwise", *[None] * 5])


def test_trained_tokenizer_has_its_special_tokens_first_and_knows_every_emoji(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = tokenizer("Sad 🦩 ŁÓDŹ")["input_ids"]  # neither the bird nor the town was in the training texts
    assert (ids[0], ids[-1]) == (2, 3) and 1 not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "sad 🦩 łódź"
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("I love")["input_ids"] == tokenizer("i LOVE")["input_ids"]


def test_training_a_tokenizer_twice_gives_the_same_one(tokenizer, tmp_path):
    again = train_tokenizer([text or "" for text in TEXTS] * 3, tmp_path / "again", vocab_size=400)
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    other = train_tokenizer(["quite other words"] * 9, tmp_path / "other", vocab_size=400)
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(tokenizer)


def test_fingerprint_ignores_the_setting_that_a_call_leaves_behind(tokenizer):
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["a b c d e f"], truncation=True, max_length=4, padding=True)
    assert tokenizer_fingerprint(tokenizer) == before


def test_rows_are_what_the_tokenizer_says_padded_to_a_multiple_of_eight(store, tokenizer, tmp_path):
    cache = TokenCache(store, tokenizer, 20, tmp_path)
    rows = np.array([2, 1, 0])
    ids, mask = cache.rows(rows)
    expected = [tokenizer(TEXTS[row])["input_ids"] if TEXTS[row] else [] for row in rows]
    assert [line[keep].tolist() for line, keep in zip(ids, mask, strict=True)] == expected
    assert ids.shape[1] % 8 == 0 and 0 <= ids.shape[1] - max(map(len, expected)) < 8
    assert (ids[~mask] == cache.pad_id).all()
    assert cache.count(rows).tolist() == list(map(len, expected)) == cache.lengths[rows].tolist()


def test_long_texts_are_cut_and_fixed_width_is_the_full_length(store, tokenizer, tmp_path):
    cache = TokenCache(store, tokenizer, 20, tmp_path)
    ids, mask = cache.rows(np.array([3, 5]))
    assert ids.shape == (2, 20)  # not 24: an encoder may have no more places than --text_length
    assert mask[0].all() and ids[0, -1] == tokenizer.sep_token_id
    assert cache.rows(np.array([5]), fixed=True)[0].shape == (1, 20)
    assert cache.rows(np.array([1]))[0].shape == (1, 8)  # no text at all


def test_special_ids_are_those_a_view_must_leave_alone(store, tokenizer, tmp_path):
    cache = TokenCache(store, tokenizer, 20, tmp_path)
    assert cache.special_ids == (0, 2, 3, 4) and (cache.pad_id, cache.mask_id) == (0, 4)


def test_cache_is_built_once_for_the_same_store_tokenizer_length_and_column(store, tokenizer, tmp_path, monkeypatch):
    first = TokenCache(store, tokenizer, 20, tmp_path / "cache")
    others = {
        first.path,
        TokenCache(store, tokenizer, 16, tmp_path / "cache").path,
        TokenCache(store, tokenizer, 20, tmp_path / "cache", column="paraphrase").path,
        TokenCache(write_store(tmp_path / "b", ["other"]), tokenizer, 20, tmp_path / "cache").path,
    }
    assert len(others) == 4 and {path for path in (tmp_path / "cache").iterdir() if path.is_dir()} == others
    monkeypatch.setattr(tokens_module, "_build", lambda *_: pytest.fail("built again"))
    again = pickle.loads(pickle.dumps(TokenCache(store, tokenizer, 20, tmp_path / "cache")))
    assert (again.rows(np.arange(6))[0] == first.rows(np.arange(6))[0]).all()


def test_pickle_does_not_carry_the_ids(store, tokenizer, tmp_path):
    cache = TokenCache(write_store(tmp_path / "large", ["many words in here"] * 5000), tokenizer, 20, tmp_path)
    assert len(pickle.dumps(cache)) < 2000


def test_texts_across_chunks_keep_their_rows(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens_module, "CHUNK", 4)
    texts = [None if number % 3 == 0 else f"word {number}" for number in range(11)]
    cache = TokenCache(write_store(tmp_path / "store", texts), tokenizer, 20, tmp_path)
    ids, mask = cache.rows(np.arange(11))
    for line, keep, text in zip(ids, mask, texts, strict=True):
        assert line[keep].tolist() == (tokenizer(text)["input_ids"] if text else [])


def test_store_without_any_text_has_empty_rows(tokenizer, tmp_path):
    ids, mask = TokenCache(write_store(tmp_path / "store", [None, None]), tokenizer, 20, tmp_path).rows(np.arange(2))
    assert ids.shape == (2, 8) and not mask.any()


def test_full_disk_is_one_clear_sentence_and_leaves_nothing(tmp_path):
    refused = pytest.raises(ValueError, match=r"cannot write .*kept: No space left on device; .*--cache_dir")
    with refused, new_folder(tmp_path / "kept") as folder:
        (folder / "half").write_text("written")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_folder_of_the_first_of_two_writers_stays(tmp_path):
    with new_folder(tmp_path / "kept") as slow:
        (slow / "file").write_text("second")
        with new_folder(tmp_path / "kept") as fast:
            (fast / "file").write_text("first")
    assert (tmp_path / "kept" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_texts_are_rewritten_before_they_are_cut(store, tokenizer, tmp_path):
    plain = TokenCache(store, tokenizer, 16, tmp_path / "cache")
    tweets = write_store(tmp_path / "tweets", ["@someone says so", "x https://t.co/abc", None])
    masked = TokenCache(tweets, tokenizer, 16, tmp_path / "cache", rule="twitter_roberta")
    wanted = write_store(tmp_path / "masked", ["@user says so", "x http", None])
    expected = TokenCache(wanted, tokenizer, 16, tmp_path / "cache")
    rows = np.arange(3)
    for found, right in zip(masked.rows(rows), expected.rows(rows), strict=True):
        assert found.equal(right)
    assert masked.path != plain.path
    assert not masked.rows(rows)[0].equal(TokenCache(tweets, tokenizer, 16, tmp_path / "cache").rows(rows)[0][:, :16])
