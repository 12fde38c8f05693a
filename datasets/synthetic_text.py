"""The texts of the synthetic world: tweets from templates, with hashtags, emoji, mentions, links, sarcasm and noise.

What a text says is carried by cues: adjectives, verbs, nouns, interjections, hashtags and emoji from the vocabulary,
rare ones beside common ones, so that an unknown word can be learnt from the known ones around it. How loudly it says so
(its strength) is carried by intensifiers, exclamation marks, capitals and further cues, or by hedges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets import synthetic_words as words
from datasets.synthetic_draws import between, chance, pick, pick_tail

_ADJECTIVE_CLAUSES = (
    "the {topic} at {place} was {cue}",
    "{cue} {topic} {time}",
    "the {topic} looked {cue} {time}",
    "found the {topic} in {place} {cue}",
    "this {topic} is {cue}",
    "{time} the {topic} felt {cue}",
    "{place} {topic} = {cue}",
    "got a {cue} {topic} {time}",
    "{name} calls the {topic} {cue}",
    "{cue} as ever, the {topic} of {place}",
    "never knew a {topic} this {cue}",
    "my {topic} turned out {cue} {time}",
)
_VERB_CLAUSES = (
    "i {cue} the {topic} {time}",
    "we {cue} that {topic} in {place}",
    "{name} {cue} the {topic} {time}",
    "{time} i {cue} a {topic}",
    "everyone in {place} {cue} the {topic}",
)
_NOUN_CLAUSES = (
    "what a {cue} {time}",
    "the {topic} in {place} is a {cue}",
    "a {cue}, this {topic}",
    "{time} brought a {cue} to {place}",
    "the {topic}: a {cue} by {name}",
)
_PLAIN_CLAUSES = (
    "the {topic} at {place} {time}",
    "{time} {name} and the {topic}",
    "{topic} in {place}, {topic} {time}",
    "about the {topic} {time}",
    "{name} has a {topic} in {place}",
)
_CONCESSIONS = ("though the {topic} was {cue}", "but a {cue} {topic}", "{name} says {cue}", "({topic}: {cue})")
_NEGATIONS = ("not {word}", "not {word} at all", "hardly {word}", "never {word}", "far from {word}", "isn't {word}")
_UNTOUCHED = ("@", "#", "http", "/")


@dataclass(frozen=True)
class Tweet:
    """A text of the world and whether it means the opposite of what its words say."""

    text: str
    sarcasm: bool


def handle(rng: np.random.Generator) -> str:
    """A user's name without the @."""
    return f"{pick(rng, words.NAMES)}{pick(rng, ('_', '', 'x', 'the'))}{int(rng.random() * 999)}"


def retweet(rng: np.random.Generator, text: str) -> str:
    """The text as somebody else passes it on."""
    return f"RT @{handle(rng)}: {text}"


def write_tweet(rng: np.random.Generator, label: int, strength: float, noise: float) -> Tweet:
    """A text that expresses class `label` (0 negative, 1 neutral, 2 positive).

    `strength` (0 to 1) is how loudly. `noise` (0 to 1) is how often words mislead, say nothing, are misspelt, or mean
    their opposite; at 0 every cue tells the truth.
    """
    sarcasm = label == 0 and chance(rng, 0.4 * noise)
    said = 2 if sarcasm else label
    loud = min(1.0, max(0.0, strength + 0.3 * noise * float(rng.standard_normal())))
    silent = not sarcasm and chance(rng, 0.6 * noise * (1.0 - loud))
    parts = _sentences(rng, said, loud, noise, silent)
    if sarcasm:
        parts.append(pick(rng, words.SARCASM))
    parts += _trimmings(rng, said, loud, noise, silent)
    if chance(rng, 0.2):
        parts.insert(0, f"@{handle(rng)}")
    if chance(rng, 0.3):
        parts.append(f"http://t.co/{''.join(pick(rng, 'abcdefghkmnpqrstuvwxyzABCDEFGHK23456789') for _ in range(8))}")
    text = _misspell(rng, " ".join(parts), 0.01 + 0.06 * noise)
    return Tweet(text[0].upper() + text[1:] if chance(rng, 0.4) else text, sarcasm)


def _sentences(rng: np.random.Generator, said: int, loud: float, noise: float, silent: bool) -> list[str]:
    """Interjection, one to three clauses and a filler that makes the text like no other."""
    parts: list[str] = []
    if chance(rng, 0.35):
        parts.append(_fill(rng, pick(rng, words.OPENERS)))
    if silent:
        parts.append(_fill(rng, pick(rng, _PLAIN_CLAUSES)))
    else:
        if chance(rng, 0.15 + 0.3 * loud):
            parts.append(pick_tail(rng, words.INTERJECTIONS[said], 5.0))
        parts.append(_clause(rng, said, loud, noise))
        if chance(rng, 0.3 + 0.5 * loud):
            parts.append("and " + _clause(rng, said, loud, noise))
    if chance(rng, 0.6 * noise):
        other = (said + 1 + int(rng.random() * 2)) % 3
        parts.append(_fill(rng, pick(rng, _CONCESSIONS), _adjective(rng, other)))
    parts[-1] += _ending(rng, loud)
    parts.append(_fill(rng, pick(rng, words.FILLERS)))
    parts += [pick(rng, words.NOISE_WORDS) for _ in range(1 + int(rng.random() * 3))]
    return parts


def _trimmings(rng: np.random.Generator, said: int, loud: float, noise: float, silent: bool) -> list[str]:
    """Hashtags and emoji, of which some carry the sentiment and some say nothing."""
    parts: list[str] = []
    if not silent and chance(rng, 0.2 + 0.25 * loud):
        parts.append("#" + pick_tail(rng, words.TAGS[_perhaps_other(rng, said, noise)], 5.0))
    if chance(rng, 0.3):
        tag = pick(rng, (pick(rng, words.TOPICS), pick(rng, words.PLACES), pick(rng, words.PLAIN_TAGS)))
        parts.append("#" + tag.replace("-", ""))
    if not silent and chance(rng, 0.2 + 0.25 * loud):
        parts.append(pick_tail(rng, words.EMOJI[_perhaps_other(rng, said, noise)], 5.0) * (1 + chance(rng, 0.5 * loud)))
    if chance(rng, 0.2):
        parts.append(pick(rng, words.PLAIN_EMOJI))
    return parts


def _perhaps_other(rng: np.random.Generator, said: int, noise: float) -> int:
    """The class, or with the probability of a misleading cue another one."""
    return (said + 1 + int(rng.random() * 2)) % 3 if chance(rng, 0.4 * noise) else said


def _clause(rng: np.random.Generator, said: int, loud: float, noise: float) -> str:
    """A clause with one cue, intensified or hedged as the loudness asks."""
    kind = rng.random()
    if kind < 0.6:
        template, cue = pick(rng, _ADJECTIVE_CLAUSES), _adjective(rng, said)
        if said != 1 and chance(rng, 0.05 + 0.15 * noise):
            cue = pick(rng, _NEGATIONS).format(word=_adjective(rng, 2 - said))
        elif chance(rng, 0.9 * loud):
            cue = f"{pick(rng, words.INTENSIFIERS)} {cue}"
    elif kind < 0.8:
        template, cue = pick(rng, _VERB_CLAUSES), pick_tail(rng, words.VERBS[said], 5.0)
        if chance(rng, 0.8 * loud):
            cue = f"{pick(rng, words.INTENSIFIERS)} {cue}"
    else:
        template, cue = pick(rng, _NOUN_CLAUSES), pick_tail(rng, words.NOUNS[said], 5.0)
        if chance(rng, 0.8 * loud):
            cue = f"{pick(rng, ('total', 'absolute', 'real', 'complete', 'true'))} {cue}"
    if chance(rng, 0.25 * loud):
        cue = cue.upper()
    clause = _fill(rng, template, cue)
    if chance(rng, 0.9 * (1.0 - loud)):
        clause = f"{pick(rng, words.HEDGES)} {clause}"
    return clause


def _adjective(rng: np.random.Generator, said: int) -> str:
    """An adjective of the class: known to everybody, or the world's own slang."""
    return pick_tail(rng, words.SLANG[said]) if chance(rng, 0.2) else pick_tail(rng, words.ADJECTIVES[said], 6.0)


def _ending(rng: np.random.Generator, loud: float) -> str:
    """How the sentence ends: loudly with exclamation marks, softly with dots."""
    if chance(rng, loud):
        return "!" * (1 + int(between(rng, 0.0, 1.0 + 3.0 * loud)))
    return pick(rng, (".", "...", ",", "-"))


def _fill(rng: np.random.Generator, template: str, cue: str = "") -> str:
    """The template with its slots drawn; every occurrence of a slot is a draw of its own."""
    slots = {"topic": words.TOPICS, "place": words.PLACES, "time": words.TIMES, "name": words.NAMES}
    pieces: list[str] = []
    for piece in template.split("{"):
        slot, closing, rest = piece.partition("}")
        if not closing:
            pieces.append(piece)
        elif slot == "cue":
            pieces.append(cue + rest)
        elif slot == "number":
            pieces.append(f"{2 + int(rng.random() * 97)}{rest}")
        else:
            pieces.append(pick(rng, slots[slot]) + rest)
    return "".join(pieces)


def _misspell(rng: np.random.Generator, text: str, rate: float) -> str:
    """Swap, drop or double a letter in a share of the words; mentions, hashtags and links stay as they are."""
    tokens = text.split(" ")
    for position in np.flatnonzero(rng.random(len(tokens)) < rate):
        token = tokens[position]
        if len(token) < 4 or token.startswith(_UNTOUCHED):
            continue
        at = 1 + int(rng.random() * (len(token) - 2))
        how = rng.random()
        if how < 0.4:
            token = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        elif how < 0.7:
            token = token[:at] + token[at + 1 :]
        else:
            token = token[:at] + token[at] * 2 + token[at:]
        tokens[position] = token
    return " ".join(tokens)
