"""A teacher's classes are known by name."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from nets.text_teacher import TextTeacher
from tests.nets.classifiers import write_classifier
from tests.nets.tiny import padded, tiny_posts


@pytest.mark.parametrize(("kind", "labels"), [
    ("bert", ("negative", "neutral", "positive")),
    ("roberta", ("POS", "NEG", "NEU")),
    ("distilbert", ("Neutral", "Positive", "Negative")),
])  # fmt: skip
def test_columns_go_by_name_and_probabilities_are_those_of_transformers(kind, labels, tmp_path):
    folder = write_classifier(tmp_path, labels, kind)
    teacher, theirs = TextTeacher(str(folder)), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch = tiny_posts(both=True)
    with torch.no_grad():
        probabilities = theirs(input_ids=batch.text, attention_mask=batch.text_mask.long()).logits.softmax(1)
        found = teacher(batch.text, batch.text_mask)
    order = [[name.lower()[:3] for name in labels].index(stem) for stem in ("neg", "neu", "pos")]
    torch.testing.assert_close(found, probabilities[:, order])
    wide = padded(batch, 24)
    torch.testing.assert_close(teacher(wide.text, wide.text_mask), found, atol=1e-5, rtol=1e-5)
    assert teacher.longest == 70 + (kind == "roberta")
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_fingerprint_is_of_weights_and_classes(tmp_path):
    names = ("neg", "neu", "pos")
    kinds = [(names, 0), (names, 0), (names[::-1], 0), (names, 1)]
    made = [
        TextTeacher(str(write_classifier(tmp_path / str(number), labels, seed=seed))).fingerprint
        for number, (labels, seed) in enumerate(kinds)
    ]
    assert made[0] == made[1] and len(set(made)) == 3


def test_mistakes_are_named(tmp_path):
    numbered = write_classifier(tmp_path / "a", ("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.raises(ValueError, match="its classes are called label_0, label_1, label_2; a teacher has"):
        TextTeacher(str(numbered))
    two = write_classifier(tmp_path / "b", ("negative", "positive"))
    with pytest.raises(ValueError, match="its classes are called negative, positive"):
        TextTeacher(str(two))
    encoder = tmp_path / "encoder"
    AutoModel.from_pretrained(two).save_pretrained(encoder)
    with pytest.raises(ValueError, match=r"no trained classifier, its weights lack classifier\.bias"):
        TextTeacher(str(encoder))
    with pytest.raises(ValueError, match=r"no classifier could be loaded .*--teacher lexicon"):
        TextTeacher(str(tmp_path / "nowhere"))
