"""Every command in the README works: run on a tiny world or table where that is quick, else parsed."""

from __future__ import annotations

import csv
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from datasets.store import PostStore
from tests.runs import ROOT, TINY, run_main
from training.command_line import flags, parse

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of each command in the README's blocks of bash; `a && b` is two commands."""
    lines = "\n".join(body for language, body in BLOCKS if language == "bash").replace("\\\n", " ").splitlines()
    return [shlex.split(part) for line in lines for part in line.split("&&") if part.strip()]


def after(command: list[str], script: str) -> list[str]:
    return command[command.index(script) + 1 :]


MAIN = [command for command in commands() if "main.py" in command]
SCRIPTS = [command for command in commands() if any(word.startswith("scripts/") for word in command)]


def test_the_two_commands_are_there():
    first, second = (body for language, body in BLOCKS[:2] if language == "bash")
    assert "pip install -r requirements.txt && .venv/bin/python main.py --num_labels 600 --threshold 0.95\n" in first
    assert "pip install -r requirements-dev.txt && .venv/bin/python -m pytest -n 2\n" in second
    assert "pytest -n 2" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("command", MAIN, ids=" ".join)
def test_commands_of_main_parse(command):
    line = after(command, "main.py")
    if "--config" in line:  # a file that a run leaves
        del line[line.index("--config") : line.index("--config") + 2]
    parse(line)


@pytest.mark.parametrize("command", SCRIPTS, ids=" ".join)
def test_commands_of_scripts_have_the_flags_that_they_use(command):
    script = next(word for word in command if word.startswith("scripts/"))
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line = after(command, script)
    own = line[: line.index("--")] if "--" in line else line  # what follows is main.py's
    used = [word.partition("=")[0] for word in own if re.match(r"--?[a-z]", word)]
    assert [flag for flag in used if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", done.stdout)] == []


NOT_HERE = (
    "torchrun", "vit_b16", "cuda", "roberta", "bernice", "saved_models/teacher", "configs/", "ViT_L16",
    "5_fold_cross", "fine_tune_FI", "test_github", "scripts/bench.py",
)  # fmt: skip
"""What commands name that need another launcher (two processes: test_main.py), pretrained encoders from a hub, a GPU,
published students, or what tests/scripts make for themselves (label_tweets, train_teacher, benchmarks, bench)."""
SMALL_NETS = ["--image_net", "small", "--image_weights", "none", "--text_net", "small", "--text_weights", "none"]
SHORT = "--epoch 1 --num_train_iter 2 --batch_size 4 --uratio 2 --text_length 32 --num_workers 0".split()
FEWER = {"51,201,600": "30", "1,2,3,4,5": "1", "supervised,fixmatch,scrd": "supervised,fixmatch"}
"""A sweep's lists, and what they are here."""


def write_posts(folder: Path) -> None:
    """The tables and the published folder that the README's commands name, with a few short texts each."""
    labels = ("negative", "neutral", "positive")
    moods = {"negative": "awful sad day", "neutral": "report of the council", "positive": "lovely happy day"}
    for name, count in (("posts", 150), ("train", 150), ("test", 60)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["id", "text", "label", "sentiment"])
            for row in range(count):
                label = labels[row % 3]
                table.writerow([f"{name}{row}", f"{moods[label]} in {name} street number {row}", label, label])
    published = folder / "dataset" / "MVSA_Single"
    (published / "data").mkdir(parents=True)
    lines = [f"{row}\t{labels[row % 3]},{labels[row % 3]}" for row in range(150)]
    (published / "labelResultAll.txt").write_text("\n".join(["ID\ttext,image", *lines]) + "\n")
    for row in range(150):
        (published / "data" / f"{row}.txt").write_text(f"{moods[labels[row % 3]]} in street number {row}")
    (folder / "a_folder_of_images").mkdir()
    Image.new("RGB", (40, 40), "red").save(folder / "a_folder_of_images" / "red.jpg")
    benchmark = folder / "dataset" / "benchmark" / "Twitter Testing Dataset I"
    (benchmark / "images").mkdir(parents=True)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (40, 40), colour).save(benchmark / "images" / f"{name}.jpg")
    (benchmark / "5agree.csv").write_text("path,class\na.jpg,1\nb.jpg,0\n")


def quick(line: list[str], run_number: int) -> list[str]:
    """The command with what makes it quick; one that has no name for its run gets one after the first."""
    if "--resume" in line or "--eval_only" in line:
        return line
    name = [] if run_number == 0 or "--save_name" in line else ["--save_name", f"run-{run_number}"]
    return [*line, *TINY, "--epoch", "1", "--num_train_iter", "2", *SMALL_NETS, *name]


def test_commands_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    write_posts(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = []
    for number, command in enumerate(one for one in commands() if one in MAIN or one in SCRIPTS):
        if any(part in word for part in NOT_HERE for word in command):
            continue
        if command in MAIN:
            run = run_main(*quick(after(command, "main.py"), number))
            assert run.code == 0, (command, run.err)
        else:
            script = next(word for word in command if word.startswith("scripts/"))
            line = [FEWER.get(word, word) for word in after(command, script)]
            line += [*SHORT, *SMALL_NETS] if "sweep" in script else []
            monkeypatch.setattr(sys, "argv", [script, *map(str, line)])
            try:
                runpy.run_path(str(ROOT / script), run_name="__main__")
            except SystemExit as stop:
                assert not stop.code, (command, stop.code)
        done.append(command)
    assert len(done) >= 12
    assert len((tmp_path / "labelled.csv").read_text().splitlines()) == 151
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 2
    assert len(PostStore(tmp_path / "stores" / "both")) > len(PostStore(tmp_path / "stores" / "posts"))
    assert (tmp_path / "comparison" / "table.md").is_file()
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert (tmp_path / "predictions" / "main_5agree.csv").read_text().startswith("NEG,NEU,POS\n")
    assert "| fixmatch" in capsys.readouterr().out


def test_other_commands_are_known_ones():
    rest = [command[0] for command in commands() if command not in MAIN and command not in SCRIPTS]
    assert set(rest) <= {"python3", ".venv/bin/pip", ".venv/bin/python", "tensorboard"}


def test_options_in_the_tables_are_there():
    named = {word for row in README.splitlines() if row.startswith("|") for word in re.findall(r"`(--\w+)", row)}
    there = {spelling for flag in flags("scrd") for spelling in flag.spellings} | {"--config"}
    assert len(named) > 40
    assert named <= there


def test_files_and_folders_in_the_readme_are_there():
    named = set(re.findall(r"`((?:algorithms|nets|datasets|training|evaluation|scripts|tests)/[\w/.]*)`", README))
    assert len(named) >= 7
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_example_of_an_algorithm_works(write_algorithm):
    import torch
    from torch import nn

    from algorithms.base import Algorithm, Step
    from datasets.batch import Batch
    from nets.prediction import Prediction
    from tests.algorithms.clusters import TASK

    (source,) = (body for language, body in BLOCKS if language == "python")
    namespace: dict[str, object] = {"__name__": "algorithms.entropy_minimisation"}
    exec(compile(source, "README.md", "exec", dont_inherit=True), namespace)
    write_algorithm("entropy_minimisation", source)
    options = parse(["--algorithm", "entropy_minimisation", "--ulb_loss_ratio", "2"]).algorithm

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, batch: Batch) -> Prediction:
            return Prediction(self.layer(batch.image))

    def posts(label: int) -> dict[str, Batch]:
        there = torch.ones(2, dtype=torch.bool)
        return {"weak": Batch(torch.arange(2), torch.full((2,), label), there, there, image=torch.randn(2, 4))}

    net = Linear()
    method = namespace["EntropyMinimisation"]
    assert isinstance(method, type)
    assert issubclass(method, Algorithm)
    losses = method(options, net, net, TASK)(posts(1), posts(-1), Step(0, 0, 1))
    losses.total.backward()
    assert float(losses.parts["unsup_loss"]) > 0
    assert net.layer.weight.grad is not None
