"""Text as people's files hold it, read so that nothing raises; and tweets as text nets were trained to read them."""

from __future__ import annotations

import codecs
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def _as_western(error: UnicodeError) -> tuple[str, int]:
    """Read the bytes that are no UTF-8 as cp1252, or as Latin-1 where cp1252 has no such character."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    read = "".join(bytes([byte]).decode("cp1252" if byte not in _NOT_IN_CP1252 else "latin-1") for byte in wrong)
    return read, error.end


_NOT_IN_CP1252 = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))

codecs.register_error("western", _as_western)


def decode_text(raw: bytes) -> str:
    """The text in `raw`. Valid UTF-8 sequences (emoji) are kept, every other byte is read as cp1252 or Latin-1.

    Never raises. A byte order mark at the start is left out.
    """
    return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="western")


def clean_text(text: str) -> str:
    """`text` as UTF-8 can hold it: half a surrogate pair, as broken JSON escapes give it, becomes U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")
    return text


TEXT_RULES = ("none", "twitter_roberta", "bertweet")
"""How a text net's own training texts were rewritten; what it reads later must be rewritten in the same way."""
RULE_KEY = "text_rule"
"""Entry of a config.json that names the rule of the net in that folder."""


def mask_tweet(tweet: str) -> str:
    """The rule of Cardiff NLP's Twitter models (TweetEval, Barbieri et al. 2020; TimeLMs, Loureiro et al. 2022).

    Words are what stands between single blanks: a mention becomes `@user`, a link `http`.
    """
    return " ".join(map(_mask_word, tweet.split(" ")))


def _mask_word(word: str) -> str:
    if word.startswith("@") and len(word) > 1:
        return "@user"
    return "http" if word.startswith("http") else word


@cache
def _bertweet() -> Callable[[str], str]:
    """BERTweet's rewriting, by transformers' own tokenizer of it, which needs no vocabulary for that."""
    from transformers import BertweetTokenizer

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("vocab.txt", "bpe.codes")]
        for file in files:
            file.touch()
        return BertweetTokenizer(*map(str, files)).normalizeTweet


def rewriter(rule: str) -> Callable[[str], str]:
    """The function of a rule of TEXT_RULES.

    "bertweet" is that of Nguyen et al. (EMNLP 2020 demo): words as NLTK's tweet tokenizer cuts them, `@USER`,
    `HTTPURL`, emoji in words, contractions apart.
    """
    assert rule in TEXT_RULES
    if rule == "bertweet":
        return _bertweet()
    return mask_tweet if rule == "twitter_roberta" else str


def rule_of(source: str) -> str:
    """The rule that the text net `source` (a hub's name, or a folder) was trained with, as far as that is known."""
    config = Path(source, "config.json")
    if config.is_file():
        rule = json.loads(config.read_text(encoding="utf-8")).get(RULE_KEY, "none")
        return rule if rule in TEXT_RULES else "none"
    owner, _, name = source.partition("/")
    if owner == "cardiffnlp" and name.startswith("twitter-"):
        return "twitter_roberta"
    return "bertweet" if owner == "vinai" and name.startswith("bertweet") else "none"
