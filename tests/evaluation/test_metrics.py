"""Metrics against values computed by hand and against scikit-learn."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from evaluation.metrics import calibration_error, macro_f1, reliability, score, selection_agreement

CLASSES = ("negative", "neutral", "positive")


def one_hot(prediction: list[int], confidence: float = 0.8) -> np.ndarray:
    """Probabilities whose highest is `confidence` at `prediction`."""
    rest = (1 - confidence) / 2
    return np.where(np.eye(3)[prediction] > 0, confidence, rest)


def test_score_of_six_posts_by_hand() -> None:
    # truth        0 0 0 1 1 2
    # prediction   0 0 1 1 2 2
    found = score(one_hot([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 1, 1, 2]), CLASSES)
    assert found["n"] == 6
    assert found["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["recall"] == pytest.approx({"negative": 2 / 3, "neutral": 1 / 2, "positive": 1.0})
    assert found["precision"] == pytest.approx({"negative": 1.0, "neutral": 1 / 2, "positive": 1 / 2})
    assert found["f1"] == pytest.approx({"negative": 4 / 5, "neutral": 1 / 2, "positive": 2 / 3})
    assert found["macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert found["weighted_f1"] == pytest.approx((3 * 4 / 5 + 2 * 1 / 2 + 1 * 2 / 3) / 6)
    assert found["ece"] == pytest.approx(0.8 - 4 / 6)  # all six in one bin
    assert found["posts"] == {"negative": 3, "neutral": 2, "positive": 1}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("missing", [(), (2,), (0, 1)])
def test_score_equals_scikit_learn(seed: int, missing: tuple[int, ...]) -> None:
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet([0.7] * 3, 200).astype(np.float32)
    label = draw.choice([c for c in range(3) if c not in missing], 200)
    prediction = probabilities.argmax(1)
    found = score(probabilities, label, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["accuracy"] == pytest.approx(reference.accuracy_score(label, prediction))
        assert found["macro_f1"] == pytest.approx(reference.f1_score(label, prediction, average="macro"))
        assert found["weighted_f1"] == pytest.approx(reference.f1_score(label, prediction, average="weighted"))
        precision, recall, f1, posts = reference.precision_recall_fscore_support(
            label, prediction, labels=range(3), zero_division=0
        )
    assert found["confusion"] == reference.confusion_matrix(label, prediction, labels=range(3)).tolist()
    assert list(found["precision"].values()) == pytest.approx(precision)
    assert list(found["posts"].values()) == posts.tolist()
    for position, name in enumerate(CLASSES):
        assert found["f1"][name] == pytest.approx(f1[position])
        expected = None if position in missing else pytest.approx(recall[position])
        assert found["recall"][name] == expected


def test_a_class_that_nobody_has_and_nobody_predicts_does_not_count() -> None:
    found = score(one_hot([0, 0, 1]), np.array([0, 1, 1]), CLASSES)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["recall"]["positive"] is None and found["f1"]["positive"] is None


def test_posts_without_a_label_do_not_count() -> None:
    found = score(one_hot([0, 1, 2, 2]), np.array([0, -1, -1, 2]), CLASSES)
    assert found["n"] == 2 and found["accuracy"] == 1.0


def test_macro_f1_of_many_tables_at_once() -> None:
    tables = np.array([[[2, 1, 0], [0, 1, 1], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    assert macro_f1(tables) == pytest.approx([(4 / 5 + 1 / 2 + 2 / 3) / 3, 1.0])


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.85, 0.15], [0.4, 0.6], [0.5, 0.5], [1.0, 0.0]])
    label = np.array([0, 1, 1, 0, 0])
    found = reliability(probabilities, label, bins=10)
    assert found["count"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 2, 1]  # a bin holds its upper end
    assert found["accuracy"][[4, 5, 8, 9]] == pytest.approx([1, 1, 0.5, 1])
    assert found["confidence"][[4, 5, 8, 9]] == pytest.approx([0.5, 0.6, 0.875, 1.0])
    assert calibration_error(probabilities, label, 10) == pytest.approx((0.5 + 0.4 + 2 * 0.375 + 0) / 5)


def test_calibration_error_is_zero_where_confidence_is_kept() -> None:
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_nothing_to_score_and_a_diverged_net_are_refused() -> None:
    with pytest.raises(ValueError, match="has a label"):
        score(one_hot([0, 1]), np.array([-1, -1]), CLASSES)
    broken = one_hot([0, 1])
    broken[1] = np.nan
    with pytest.raises(ValueError, match="1 of 2 posts"):
        score(broken, np.array([0, 1]), CLASSES)


def test_selection_agreement_by_hand() -> None:
    selection = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]])
    decides = np.array(["text", "text", "image", "image", "both"], dtype=object)
    found = selection_agreement(selection, decides)
    assert found["n"] == 4
    assert found["agreement"] == 0.5  # one of two texts, one of two images
    assert found["auc"] == pytest.approx(3 / 4)  # only (text 2, image 2) is the wrong way round
    shuffled = selection_agreement(np.full((4, 3), 1 / 3), np.array(["text", "image"] * 2, dtype=object))
    assert (shuffled["agreement"], shuffled["auc"]) == (0.5, 0.5)  # nothing is selected: chance
    one_tie = selection_agreement(np.array([[0.4, 0.4, 0.2], [0.1, 0.9, 0.0]]), np.array(["text", "image"]))
    assert one_tie["agreement"] == 0.75


def test_selection_agreement_equals_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    selection, decides = draw.dirichlet([1, 1, 1], 300), draw.choice(["text", "image"], 300)
    expected = reference.roc_auc_score(decides == "image", selection[:, 1] - selection[:, 0])
    assert selection_agreement(selection, decides)["auc"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="text decides"):
        selection_agreement(selection, np.full(300, "text"))
