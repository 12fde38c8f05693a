from __future__ import annotations

import pytest

from datasets.text import clean_text, decode_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("café 😀".encode(), "café 😀"),
        ("café".encode("latin-1"), "café"),
        (b"\x93quoted\x94 it\x92s", "“quoted” it’s"),  # cp1252
        (b"caf\xe9 " + "😀".encode(), "café 😀"),  # both in one text
        (b"\x81\x8d", "\x81\x8d"),  # not in cp1252: Latin-1
        ("😀".encode()[:3] + b" end", "ð\x9f˜ end".replace("\x9f", "Ÿ")),  # a broken emoji
        (b"\xef\xbb\xbfmark", "mark"),
        (b"", ""),
    ],
)
def test_decode_text(raw, text):
    assert decode_text(raw) == text


def test_decode_text_never_raises():
    for first in range(256):
        for second in range(256):
            decode_text(bytes([first, second, 0x41])).encode("utf-8")


def test_clean_text_replaces_half_a_surrogate_pair_only():
    assert clean_text("good \ud83d day") == "good � day"
    assert clean_text("good 😀 day") == "good 😀 day"
    assert clean_text("\ud83d\ude00") == "😀"
