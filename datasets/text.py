"""Text as people's files hold it, read so that nothing raises; and tweets as text nets were trained to read them."""

from __future__ import annotations

import codecs
import json
import re
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


TEXT_RULES = ("none", "twitter_roberta", "bertweet", "bernice")
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


def mask_bernice(tweet: str) -> str:
    """The rule of Bernice (DeLucia et al., EMNLP 2022): `@USER` for what looks like a mention, then `HTTPURL`."""
    return _LINK.sub("HTTPURL", _MENTION.sub("@USER", tweet))


_MENTION = re.compile(r"@\w+")
_LINK = re.compile(r"https?://[\w./?=&#%:-]+")


def rewriter(rule: str) -> Callable[[str], str]:
    """The function of a rule of TEXT_RULES.

    "bertweet" is that of Nguyen et al. (EMNLP 2020 demo): words as NLTK's tweet tokenizer cuts them, `@USER`,
    `HTTPURL`, emoji in words, contractions apart.
    """
    assert rule in TEXT_RULES
    if rule == "bertweet":
        return _bertweet()
    return {"twitter_roberta": mask_tweet, "bernice": mask_bernice}.get(rule, str)


_RULES_BY_NAME = {
    "bertweet": "bertweet",
    "bernice": "bernice",
    "twitter-roberta": "twitter_roberta",
    "twitter-xlm-roberta": "twitter_roberta",
}
"""Rules by how the names of text nets begin, the owner left out, on the hub and in folders called after them."""


def rule_of(source: str, name: str = "") -> str:
    """The rule that the text net `source` (a hub's name, or a folder) was trained with, as far as that is known.

    A folder whose config.json names no rule has that of the hub's `name` for its net, or of its own name.
    """
    config = Path(source, "config.json")
    said = json.loads(config.read_text(encoding="utf-8")).get(RULE_KEY) if config.is_file() else None
    if said is not None:
        return said if said in TEXT_RULES else "none"
    for known in (name, source):
        stem = known.rstrip("/").rpartition("/")[2].lower()
        for start, rule in _RULES_BY_NAME.items():
            if stem.startswith(start):
                return rule
    return "none"
