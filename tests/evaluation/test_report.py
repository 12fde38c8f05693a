"""The report of a run with invented figures: complete, self-contained, safe with hostile posts, quiet in a browser."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.splits import Split
from datasets.store import PostStore
from evaluation.gallery import most_confident_right, most_confident_wrong, show, thumbnail
from evaluation.model_card import write_model_card
from evaluation.plots import Series, line_chart, share_bars, ticks
from evaluation.predict import Predictions, evaluate
from evaluation.report import curves, read_metrics, selection_rows, series, write_report
from evaluation.tables import write_predictions
from tests.evaluation.reading import read_predictions
from tests.evaluation.standins import SmallNet, SmallStore, batches, written

HOSTILE = '<script>console.error("x")</script> & "quotes" \U0001f600 אבג' + " long" * 200
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def invented_metrics(steps: int = 600) -> list[dict[str, float]]:
    """Lines of metrics.jsonl as a run writes them."""
    draw = np.random.default_rng(0)
    lines: list[dict[str, float]] = []
    for step in range(20, steps + 1, 20):
        fall = math.exp(-step / 200)
        lines.append(
            {
                "step": step,
                "train/sup_loss": 0.2 + 0.9 * fall + draw.normal(0, 0.03),
                "train/unsup_loss": 0.1 + 0.3 * (1 - fall) + draw.normal(0, 0.02),
                "train/total_loss": 0.3 + 0.7 * fall + draw.normal(0, 0.03),
                "train/util_ratio": 0.9 - 0.7 * fall,
                "train/pseudo_acc": 0.8 - 0.2 * fall,
                "train/pseudo_label/negative": 0.5 - 0.4 * fall,
                "lr": 1e-3,
            }
        )
        if step % 100 == 0:
            recall = {f"eval/recall/{name}": 0.7 - fall * k / 3 for k, name in enumerate(SmallStore().classes)}
            lines.append({"step": step, "eval/top-1-acc": 0.7 - 0.3 * fall, "eval/F1": 0.66 - 0.3 * fall, **recall})
    return lines


def invented_run(folder: Path, store: PostStore) -> tuple[Predictions, Split]:
    """The files of a run whose net is the small one."""
    folder.mkdir(exist_ok=True)
    rows = np.arange(10, len(store))
    scores, predictions = evaluate(SmallNet(), lambda chosen: batches(store, chosen, 16), rows, store)
    results = {
        "name": "scrd",
        "algorithm": "scrd",
        "seed": 1,
        "num_labels": 8,
        "classes": list(store.classes),
        "split_fingerprint": "a" * 64,
        "store_fingerprint": store.fingerprint,
        "test_fingerprint": "b" * 64,
        "validation": scores["full"],
        "test": scores,
        "seconds": 185.2,
        "steps": 600,
        "peak_memory_gib": 1.42,
        "command": "python main.py --num_labels 8 --data_dir '<posts>'",
    }
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in invented_metrics()))
    (folder / "options.yaml").write_text("algorithm: scrd\ntext_net: '<small>'\n")
    split = Split(np.arange(8), np.arange(8), np.arange(8, 10), rows, fingerprint="a" * 64)
    return predictions, split


class Page(HTMLParser):
    """What an HTML page holds: addresses it would load, ids, what refers to them, open elements, visible text."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.labelled_by: list[str] = []
        self.without_alt = 0
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that matter."""
        self.tags.append(tag)
        values = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.ids += [values["id"] or ""] if "id" in values else []
        self.labelled_by += [values["aria-labelledby"] or ""] if "aria-labelledby" in values else []
        self.without_alt += tag == "img" and not values.get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An empty element: nothing to close."""
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every element is closed in its turn."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Visible text."""
        self.words.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a hostile post among those shown."""
    folder = tmp_path_factory.mktemp("run")
    store = SmallStore(texts=[HOSTILE] * 60)
    return write_report(folder, store, *invented_run(folder, store))


def test_the_page_is_whole_and_loads_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.addresses and all(address.startswith("data:") for address in page.addresses)
    assert "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text
    assert "script" not in page.tags and page.without_alt == 0
    assert set(page.labelled_by) <= set(page.ids) and len(set(page.ids)) == len(page.ids)
    assert [file.name for file in report.parent.glob("*.tmp")] == []


def test_the_page_says_what_the_run_found(report: Path) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    said = " ".join(" ".join(page.words).split())
    results = json.loads((report.parent / "results.json").read_text())
    for name, key in (("macro-F1", "macro_f1"), ("accuracy", "accuracy"), ("weighted F1", "weighted_f1")):
        figures = " ".join(f"{100 * scores[key]:.1f}" for scores in results["test"].values())
        assert f"{name} {figures}" in said
    for title in ("Wrong, and sure", "Right, and sure", "What the selection chose", "Validation", "Pseudo-labels"):
        assert title in said
    assert "3 min 05 s" in said and results["command"] in said and "text_net: '<small>'" in said
    assert page.tags.count("svg") == 7  # reliability, selection, validation, losses, pseudo-labels, by class, recall
    assert '<script>console.error("x")</script> & "quotes" \U0001f600 אבג' in said  # as text, not as an element


def test_a_real_store_gives_the_same_page(report: Path, tmp_path: Path) -> None:
    store = written(SmallStore(texts=[HOSTILE] * 60), tmp_path / "store")
    folder = tmp_path / report.parent.name
    predictions, split = invented_run(folder, store)
    write_predictions(folder / "predictions.parquet", store, predictions, store.classes)
    read = read_predictions(folder / "predictions.parquet", store, split.test)
    expected = report.read_text(encoding="utf-8").replace("f" * 12, store.fingerprint[:12])
    found = write_report(folder, store, read, split).read_text(encoding="utf-8")
    assert found == expected


def test_a_run_without_selection_or_curves_has_a_page_too(tmp_path: Path) -> None:
    store = SmallStore()
    predictions, split = invented_run(tmp_path, store)
    (tmp_path / "metrics.jsonl").write_text("")
    bare = replace(predictions, selection=None, image_probabilities=None, text_probabilities=None)
    text = write_report(tmp_path, store, bare, split).read_text(encoding="utf-8")
    assert "What the selection chose" not in text and "How it learned" not in text and "Reliability" in text


def test_no_report_without_the_run(tmp_path: Path) -> None:
    store = SmallStore()
    predictions, split = invented_run(tmp_path, store)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match=r"lacks results\.json"):
        write_report(tmp_path, store, predictions, split)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
def test_a_browser_has_nothing_to_complain_of(report: Path, tmp_path: Path) -> None:
    def browse(page: Path) -> tuple[str, str]:
        profile = tmp_path / page.stem
        command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        command += [f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout, done.stderr

    shouting = tmp_path / "shouting.html"
    shouting.write_text("<script>console.error('shout')</script>")
    assert "shout" in browse(shouting)[1]  # the test can fail
    dom, log = browse(report)
    assert "The run" in dom
    assert not re.search(r"CONSOLE|Refused to", log), log


def test_gallery_order_by_hand() -> None:
    confident = np.array([0.9, 0.5, 0.8, 0.7, 0.95, 0.6])
    said, label = np.array([0, 0, 0, 1, 0, 2]), np.array([0, 1, 2, 1, 0, -1])
    probabilities = np.where(np.eye(3)[said] > 0, confident[:, None], (1 - confident[:, None]) / 2)
    predictions = Predictions(np.arange(6), probabilities, label)
    assert most_confident_wrong(predictions, 5).tolist() == [2, 1]
    assert most_confident_wrong(predictions, 1).tolist() == [2]
    assert most_confident_right(predictions, 5).tolist() == [4, 3, 0]  # class 0, class 1, class 0 again


def test_what_the_gallery_shows() -> None:
    store = SmallStore(texts=[HOSTILE] * 60)
    _, predictions = evaluate(SmallNet(), lambda chosen: batches(store, chosen, 16), np.arange(60), store)
    for position, post in enumerate(show(store, predictions, np.arange(60))):
        assert post.id == f"00{position}" and len(post.text) <= 602
        assert (post.image is None) == (not store.has_image[position])
        assert (post.selection is None) == (not (store.has_image[position] and store.has_text[position]))
        assert post.right == (post.truth == post.answer)
        assert post.answer == max(post.probabilities, key=lambda pair: pair[1])[0]


def test_thumbnails_are_small() -> None:
    file = io.BytesIO()
    Image.new("RGB", (1600, 800), (1, 2, 3)).save(file, "JPEG")
    address = thumbnail(file.getvalue())
    decoded = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))
    assert decoded.size == (320, 160)


def test_selection_rows_are_means_over_posts_with_both() -> None:
    store = SmallStore()
    _, predictions = evaluate(SmallNet(), lambda chosen: batches(store, chosen, 16), np.arange(60), store)
    selection = np.random.default_rng(0).dirichlet([1, 1, 1], 60).astype(np.float32)
    rows = selection_rows(store, replace(predictions, selection=selection))
    both = store.has_image & store.has_text
    np.testing.assert_allclose(rows["all posts"], selection[both].mean(0))
    np.testing.assert_allclose(rows["truth neutral"], selection[both & (store.label == 1)].mean(0))
    np.testing.assert_allclose(rows["text decides"], selection[both & (store.decides == "text")].mean(0))


def test_metrics_file_with_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "train/sup_loss": 2.0}\n{"step": 2, "train/sup_loss": NaN}\n{"step": 3, "tra')
    lines = read_metrics(path)
    found = series(lines, "train/sup_loss")
    assert len(lines) == 2 and found is not None and found.y.tolist() == [2.0] and series(lines, "eval/F1") is None
    path.write_text("{broken}\n")
    with pytest.raises(ValueError, match="not JSON"):
        read_metrics(path)


def test_curves_are_of_what_there_is() -> None:
    assert [title for title, _, _ in curves([{"step": 1, "train/sup_loss": 1.0}])] == ["Losses"]
    titles = [title for title, _, _ in curves(invented_metrics())]
    assert titles == [
        "Validation", "Losses", "Pseudo-labels", "Accepted pseudo-labels of each class",
        "Recall of each class on validation",
    ]  # fmt: skip
    many = {f"eval/recall/{number}": 0.5 for number in range(8)}
    assert [title.rpartition(", ")[2] for title, _, _ in curves([{"step": 1, **many}])] == [
        "1 to 6 of 8",
        "7 to 8 of 8",
    ]
    assert ">negative</text>" in curves(invented_metrics())[3][2]
    assert all(f">{name}</text>" in curves(invented_metrics())[4][2] for name in SmallStore().classes)
    assert "nan" not in curves([{"step": 0, "eval/F1": 0.5}])[0][2]
    assert "Best macro-F1 (circled): 64.5% at step 600" in curves(invented_metrics())[0][1]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.66), (0, 5120), (-3, 2e-5), (0.5, 0.5), (0, 3e-4)])
def test_ticks_span_what_they_should(low: float, high: float) -> None:
    found = ticks(low, high)
    assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12 and len(found) <= 8
    np.testing.assert_allclose(np.diff(found), found[1] - found[0] if len(found) > 1 else 0)


def test_lines_and_bars_lie_where_they_should() -> None:
    flat = Series("<name>", np.array([0.0, 100.0]), np.array([0.0, 1.0]))
    picture = line_chart("t", [flat], fraction=True)
    assert 'points="50,230 436,40"' in picture and "&lt;name&gt;" in picture and "<name>" not in picture
    bars = share_bars("t", {"all": [0.5, 0.25, 0.25]}, ("a", "b", "c"), ("#111", "#222", "#333"))
    assert re.findall(r'<rect x="([\d.]+)" y="36" width="([\d.]+)"', bars) == [
        ("128.0", "154.0"),
        ("282.0", "77.0"),
        ("359.0", "77.0"),
    ]


def test_model_card(tmp_path: Path) -> None:
    store = SmallStore()
    invented_run(tmp_path, store)
    path = write_model_card(tmp_path)
    text = path.read_text(encoding="utf-8")
    results = json.loads((tmp_path / "results.json").read_text())
    assert path == tmp_path / "best" / "README.md" and text.startswith("---\n")
    assert f"{100 * results['test']['full']['macro_f1']:.1f}" in text
    for wanted in ("negative, neutral, positive", "scripts/predict.py", "image only", "scrd", results["command"]):
        assert wanted in text
