"""main.py from end to end on a tiny synthetic world: what a run leaves, and that stopping it changes nothing."""

from __future__ import annotations

import functools
import json
import shlex
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nets.encoders import IMAGE_NAMES, ImageEncoder
from tests.runs import TINY, Done, Forker, run_main
from training.checkpoint import load_checkpoint, plain_state, save_weights

LEFT = (
    "options.yaml command.txt split.json metrics.jsonl predictions.csv results.json report.html best/model.safetensors "
    "best/net.json best/README.md best/tokenizer/tokenizer.json "
    "checkpoints/step-00000012/meta.json"
).split()


@pytest.fixture
def run(tmp_path: Path, cache: Path) -> Callable[..., Done]:
    """One run here: name and flags; the tiny world and the shared cache are added."""

    def run(name: str, *words: object) -> Done:
        tiny = TINY[: TINY.index("--threshold")] if "supervised" in words else TINY
        return run_main(*tiny, "--cache_dir", cache, "--save_dir", tmp_path, "--save_name", name, *words)

    return run


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def bits(folder: Path) -> dict[str, bytes]:
    """Every tensor of the newest checkpoint, and the counters that are no times."""
    checkpoint = load_checkpoint(folder)
    assert checkpoint is not None
    state = checkpoint.state
    tensors = {"skips": state["skips"]}
    tensors |= {f"net.{name}": value for name, value in checkpoint.net.items()}
    tensors |= {f"ema.{name}": value for name, value in checkpoint.ema.items()}
    tensors |= {f"algorithm.{name}": value for name, value in state["algorithm"].items()}
    for name, moments in state["optimiser"].items():
        tensors |= {f"{name}.{key}": value for key, value in moments.items()}
    found = {name: value.numpy().tobytes() for name, value in tensors.items()}
    progress = {key: value for key, value in state["progress"].items() if key != "seconds"}
    return {**found, "progress": repr(progress).encode()}


def test_a_run_leaves_what_the_readme_says(finished: Path) -> None:
    assert [name for name in LEFT if not (finished / name).is_file()] == []
    assert len(list(finished.glob("events.out.tfevents.*"))) == 1
    assert sorted(path.name for path in (finished / "checkpoints").iterdir()) == ["step-00000009", "step-00000012"]
    results = json.loads((finished / "results.json").read_text())
    assert (results["algorithm"], results["seed"], results["num_labels"]) == ("scrd", 1, 60)
    assert (results["steps"], results["skipped"]) == (12, 0)
    kinds = results["test"].keys() - {"full", "image_only", "text_only"}
    assert kinds == {"both_agree", "text_decides", "image_decides"}
    both = sum(results["test"][kind]["n"] for kind in kinds)
    assert 0 < both < results["test"]["full"]["n"]  # some posts lack a modality
    assert sum(results["test"][kind]["n"] for kind in ("text_decides", "image_decides")) == results["selection"]["n"]
    told = f"Where one modality alone decides ({results['selection']['n']} posts), the selection leans to the right one"
    assert told in (finished / "report.html").read_text()
    predictions = (finished / "predictions.csv").read_text().splitlines()
    assert predictions[0].startswith("id,negative,neutral,positive,prediction,label,selection_text")
    assert len(predictions) == 1 + results["test"]["full"]["n"]
    entries = lines(finished)
    assert [line["step"] for line in entries if "train/total_loss" in line] == list(range(1, 13))
    assert [line["step"] for line in entries if "eval/F1" in line] == [3, 6, 9, 12]
    assert {"train/sup_loss", "train/unsup_loss", "train/util_ratio", "lr", "train/data_wait"} <= set(entries[0])
    assert not (finished / ".lock").read_text()


def test_the_best_of_validation_is_what_was_tested(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    measured = {line["step"]: line["eval/F1"] for line in lines(finished) if "eval/F1" in line}
    assert measured[results["best_step"]] == max(measured.values())
    assert results["validation"]["macro_f1"] == pytest.approx(max(measured.values()))


def test_evaluating_again_gives_the_same_figures_and_changes_nothing_else(run, tmp_path: Path) -> None:
    assert run("again", "--algorithm", "supervised", "--num_train_iter", 1).code == 0
    folder = tmp_path / "again"
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert run_main("--save_dir", tmp_path, "--save_name", "again", "--eval_only").code == 0
    changed = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed <= {"report.html", "README.md", ".lock"}
    refused = run_main("--save_dir", tmp_path, "--save_name", "again", "--eval_only", "--num_labels", 90)
    assert "trained on another split" in refused.sentence
    second = run("again")
    assert "--resume goes on with it, --overwrite throws it away" in second.sentence
    assert (folder / "results.json").read_bytes() == before[folder / "results.json"]
    bad = run("again", "--overwrite", "--data_dir", tmp_path / "nowhere")
    assert "nowhere does not exist" in bad.sentence
    assert (folder / "results.json").read_bytes() == before[folder / "results.json"]
    assert run("again", "-o", "--algorithm", "supervised", "--num_train_iter", 1, "--epoch", 1).code == 0
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000001"]
    assert " -o " in json.loads((folder / "results.json").read_text())["command"]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_killed_and_resumed_ends_with_the_bits_of_the_unbroken_run(
    num_workers: int, finished: Path, cache: Path, forker: Forker, tmp_path: Path
) -> None:
    begin = [*TINY, "--num_workers", num_workers, "--cache_dir", cache, "--save_dir", tmp_path, "--save_name", "run"]
    draws = np.random.default_rng(num_workers)
    for epoch in (0, 1, 2):  # checkpoints are those of the epochs' ends; a signal's last step may be one
        step = 3 * epoch + int(draws.integers(3))
        killed = forker.run(*begin, *(["--resume"] if epoch else []), signal_at=(step, signal.SIGKILL))
        assert killed.code == -signal.SIGKILL
        assert not (tmp_path / "run" / "results.json").exists()
    again = ["--save_dir", tmp_path, "--save_name", "run", "--resume"]
    stopped = forker.run(*again, signal_at=(9, signal.SIGTERM))
    assert stopped.code == 143, stopped.err
    assert "after step 10, saved: go on with --resume" in stopped.out
    last = forker.run(*again)
    assert last.code == 0, last.err
    assert "going on after step 10" in last.out
    assert bits(tmp_path / "run") == bits(finished)
    ours, theirs = (json.loads((path / "results.json").read_text()) for path in (tmp_path / "run", finished))
    assert ours["test"] == theirs["test"]
    assert ours["command"] == shlex.join(["python", "main.py", *map(str, begin)])  # not one of those that resumed it
    assert ours["command"] in (tmp_path / "run" / "best" / "README.md").read_text()
    assert [line["step"] for line in lines(tmp_path / "run") if "train/total_loss" in line] == list(range(1, 13))


def test_another_run_is_not_gone_on_with_and_nothing_is_lost(run, tmp_path: Path) -> None:
    flags = ("--algorithm", "fixmatch", "--net", "image", "--epoch", 2)
    done = run("run", *flags, "--num_train_iter", 1)
    assert done.code == 0
    kept = {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}
    for words, named in [
        (("--num_labels", 90), "split was"),
        (("--seed", 2), "seed was 1, now it is 2"),
        (("--net", "text"), "net was"),
        (("--world_posts", 310), "store was"),
        (("--num_train_iter", 2), "--num_train_iter was 1, now it is 2"),
        (("--threshold", 0.5), "--threshold was 0.4, now it is 0.5"),
        (("--optim", "SGD"), "--optim was AdamW, now it is SGD"),
    ]:
        refused = run_main("--save_dir", tmp_path, "--save_name", "run", "--resume", *words)
        assert "cannot go on from" in refused.sentence
        assert named in refused.sentence
    assert {path: path.read_bytes() for path in kept} == kept


def test_other_frozen_weights_in_the_same_file_are_not_gone_on_with(run, tmp_path: Path) -> None:
    file = tmp_path / "small.safetensors"
    words = ("--algorithm", "fixmatch", "--freeze", "image", "--image_weights", file, *SMALL)
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_weights(file, plain_state(ImageEncoder("small", "none").net), {"timm": IMAGE_NAMES["small"]})
        if seed == 1:
            assert run("run", *words).code == 0
            assert run("run", *words, "--resume").code == 0
            assert run("run", "--eval_only").code == 0
    refused = run("run", *words, "--resume")
    assert refused.code == 2 and "frozen image encoder was" in refused.err
    assert "was trained with other frozen encoders than --image_weights" in run("run", "--eval_only").sentence


def test_a_full_disk_is_one_sentence_and_nothing_saved_is_lost(
    finished: Path, cache: Path, forker: Forker, tmp_path: Path
) -> None:
    words = [*TINY, "--cache_dir", cache, "--save_dir", tmp_path, "--save_name", "run"]
    for limit in (1_000, 100_000):  # options, tokenizer
        assert "File too large" in forker.run(*words, "--resume", limit=limit).sentence
    assert forker.run(*words, "--resume", signal_at=(4, signal.SIGTERM)).code == 143
    full = forker.run(*words, "--resume", limit=3_000_000)
    assert "cannot write the checkpoint of step 6" in full.sentence
    assert "File too large" in full.sentence
    assert sorted(path.name[-1] for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["3", "5"]
    assert forker.run(*words, "--resume").code == 0
    assert bits(tmp_path / "run") == bits(finished)


def test_a_full_disk_while_the_cache_is_made(forker: Forker, tmp_path: Path) -> None:
    words = [*TINY, "--world_posts", 60, "--cache_dir", tmp_path / "cache", "--save_dir", tmp_path]
    done = forker.run(*words, limit=10_000)
    assert f"cannot write {tmp_path / 'cache' / 'stores'}" in done.sentence
    assert [path.suffix for path in (tmp_path / "cache" / "stores").iterdir()] == [".lock"]


SMALL = ("--epoch", 1, "--num_train_iter", 2)


@pytest.mark.parametrize(
    "words",
    [
        "--algorithm supervised --net scrd --optim SGD",
        "--algorithm supervised --net text --freeze text --text_weights none",
        "--algorithm supervised --net image --freeze image,text --image_weights none",
        "--algorithm fixmatch --net concat --freeze image --image_weights none",
        "--algorithm fixmatch --net scrd --accumulate 2 --modality_dropout 0.5",
        "--algorithm fixmatch --net text --amp --patience 1",
        "--algorithm scrd --freeze image,text --image_weights none --text_weights none",
        "--algorithm scrd --freeze text --text_weights none --decoupling False --selection none",
    ],
)
def test_nets_and_algorithms_go_together(run, words: str, tmp_path: Path) -> None:
    done = run("run", *words.split(), *SMALL)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["steps"], results["skipped"]) == (2, 0)


@pytest.mark.parametrize("net", ["image", "text", "concat"])
def test_scrd_says_which_net_it_needs(run, net: str) -> None:
    said = run("run", "--algorithm", "scrd", "--net", net, *SMALL).sentence
    assert "--net" in said
    assert "scrd" in said


def test_compiled_it_is_the_same_run(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as for the compiler, but run as it stands: the compiler itself is the library's, and slow."""
    traced = []  # of each graph whether its weights learn: the net's do, those of its moving average do not

    def as_it_stands(graph: torch.fx.GraphModule, inputs: list[object]) -> object:
        weights = [value for value in inputs if isinstance(value, torch.nn.Parameter)]
        traced.extend({weight.requires_grad for weight in weights})
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=as_it_stands))
    words = ("--algorithm", "simmatch", "--net", "image", "--dropout", 0, *SMALL)
    try:
        assert run("compiled", *words, "--compile").code == 0
    finally:
        torch._dynamo.reset()
    assert run("plain", *words).code == 0
    compiled, plain = (
        [line["train/total_loss"] for line in lines(tmp_path / name) if "train/total_loss" in line]
        for name in ("compiled", "plain")
    )
    assert compiled == pytest.approx(plain, abs=1e-5)
    assert set(traced) == {True, False}


def test_two_processes_have_the_losses_of_one(cache: Path, forker: Forker, tmp_path: Path) -> None:
    words = [
        *TINY,
        "--algorithm",
        "fixmatch",
        "--freeze",
        "text",
        "--text_weights",
        "none",
        "--dropout",
        0,
        "--feature_dropout",
        0,
        "--epoch",
        1,
        "--cache_dir",
        cache,
    ]
    words += ["--save_dir", tmp_path, "--save_name"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    pair = [
        {"words": [*words, "two"], "environment": {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}}
        for rank in range(2)
    ]
    done = [*forker.together(pair), forker.run(*words, "one")]
    assert [one.code for one in done] == [0, 0, 0], done
    assert "step 3/3" in done[0].out
    assert done[1].out == ""
    losses = [
        [line[f"train/{name}_loss"] for line in lines(tmp_path / folder) if "lr" in line for name in ("sup", "unsup")]
        for folder in ("one", "two")
    ]
    assert len(losses[0]) == 6
    assert any(losses[0][1::2])
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["test"]["full"]["confusion"] == two["test"]["full"]["confusion"]


def test_an_epoch_may_be_one_pass_over_posts_as_they_are(run, tmp_path: Path) -> None:
    flags = ("--algorithm", "supervised", "--num_train_iter", -1, "--epoch", 2, "--batch_size", 16)
    random = ("--image_weights", "none", "--text_weights", "none")
    clean = ("--labelled_view", "clean", "--freeze", "image,text", "--feature_views", 0, *random)
    assert run("pass", *flags, *clean).code == 0
    assert [line["step"] for line in lines(tmp_path / "pass") if "eval/F1" in line] == [4, 8]  # 60 posts
    assert run_main("--save_dir", tmp_path, "--save_name", "pass", "--resume", "--num_train_iter", -1).code == 0
    refused = run("weak", *flags, *clean, "--labelled_view", "weak")
    assert "--feature_views 0 keeps no weak view of a frozen encoder" in refused.sentence
