"""The published commands of the auxiliary-losses system: what their flags stand for, and the files that they write."""

from __future__ import annotations

import csv
import errno
import json
import shlex
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import tyro
from sklearn.metrics import f1_score

from evaluation.published_tables import METRICS
from scripts import run_img, run_mm_early, run_mm_late, run_txt
from scripts.published import CONFIG
from tests.datasets.published import write
from training.command_line import Options, load_options, parse
from training.published_flags import CHECKPOINTS, TASKS, PublishedRun
from training.published_runs import PublishedRecord

EXAMPLE = (
    "--txt_model_name bernice --img_model_name vit --fusion_name attention --task 2 --epochs 7 --seed 40 --testing"
)
"""The command of the published README."""
SCRIPTS: dict[ModuleType, str] = {
    run_txt: "--model_name bertweet",
    run_img: "--model_name deit",
    run_mm_early: "--model vilt",
    run_mm_late: "--txt_model_name bert --img_model_name beit --fusion_name gmu",
}
"""The least that each script must be given, besides the task."""
FLAGS: dict[ModuleType, type] = {
    run_txt: run_txt.OnlyTextFlags,
    run_img: run_img.OnlyImageFlags,
    run_mm_early: run_mm_early.EarlyFlags,
    run_mm_late: run_mm_late.LateFlags,
}
TINY_TEXT, TINY_IMAGE = "small --txt_weights none", "small --img_weights none"
WORDS = ("dull report of the council", "lovely happy day", "awful sad day")
SPLITS = ("train", "train", "train", "val", "test")


def published_run(script: ModuleType, words: str) -> PublishedRun:
    return script.run_of(tyro.cli(FLAGS[script], args=shlex.split(words), use_underscores=True))


def options_of(script: ModuleType, words: str) -> Options:
    return parse(published_run(script, words).argv(), under=CONFIG)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(path: Path, name: str) -> dict[str, float]:
    return {row["metric"]: float(row[name]) for row in rows(path)}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with tables and pictures of tasks 3 and 5 in `data`."""
    monkeypatch.chdir(tmp_path)
    mvsa, mic = ["tweet_id,text,label,split"], ["id,text,label,split"]
    for number in range(45):
        label, split = number % 3, SPLITS[number // 3 % 5]
        mvsa.append(f"{number},{WORDS[label]} number {number},{label},{split}")
        mic.append(f"{number},{WORDS[number % 2]} number {number},{number % 2},{split}")
    alone = ["id,text,label", *(f"{number},{WORDS[number % 2]} {number},{number % 2}" for number in range(100, 106))]
    tables = {"data_key_mvsa.csv": mvsa, "data_key_mic.csv": mic, "text_data_mic.csv": alone}
    names = "MVSA-Single/data/{}.jpg", "MIC/spc_imgs_twitter/{}_1.jpg"
    images = [name.format(number) for name in names for number in range(45)]
    return write(tmp_path / "data", {name: "\n".join(lines) + "\n" for name, lines in tables.items()}, images)


def end(script: ModuleType, words: str) -> int:
    return script.main([*shlex.split(words), "--num_workers", "0", "--gpu", "-1"])


def test_late_fusion_from_training_to_saved_weights(data: Path, capsys: pytest.CaptureFixture) -> None:
    models = f"--txt_model_name {TINY_TEXT} --img_model_name {TINY_IMAGE} --fusion_name attention --task 3"
    flags = f"{models} --use_clip_loss --use_tim_loss --beta_itm 0.2 --nsamples 24 --lr 3e-3"
    assert end(run_mm_late, f"{flags} --epochs 3 --save_preds --save_model") == 0
    stem = "small-small-attention_task3_seed30_itc0.1itm0.2_N24"
    folder = Path("results/mm_late")
    names = ("metrics_test.csv", "metrics_val.csv", "net.pth", "preds.csv")
    assert sorted(path.name for path in folder.iterdir()) == [f"{stem}_{name}" for name in names]
    for part in ("val", "test"):
        table = rows(folder / f"{stem}_metrics_{part}.csv")
        assert list(table[0]) == ["metric", "epoch-1", "epoch-2", "epoch-3"]
        assert tuple(row["metric"] for row in table) == METRICS
    classes = rows(folder / f"{stem}_preds.csv")
    assert list(classes[0]) == ["data_id", "label", "prediction"]
    assert [(row["data_id"], row["label"]) for row in classes] == [
        (str(number), str(number % 3)) for number in range(45) if number // 3 % 5 == 4
    ]  # the table's own numbers, not the house's
    last = column(folder / f"{stem}_metrics_test.csv", "epoch-3")
    label, prediction = ([row[name] for row in classes] for name in ("label", "prediction"))
    assert last["f1_macro"] == pytest.approx(f1_score(label, prediction, average="macro"))
    assert last["f1_weighted"] == pytest.approx(f1_score(label, prediction, average="weighted"))

    run = Path("saved_models/mm_late") / stem
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validation = {line["step"]: line["eval/F1"] for line in lines if "eval/F1" in line}
    assert list(validation) == [2, 4, 6]  # passes over 24 posts, 16 a step
    assert json.loads((run / "results.json").read_text())["best_step"] == max(validation, key=validation.__getitem__)
    assert "train/itc_loss" in lines[-2] or any("train/itc_loss" in line for line in lines)
    options = load_options(run / "options.yaml")
    assert (options.algorithm.itc_loss_ratio, options.algorithm.itm_loss_ratio) == (0.1, 0.2)
    assert options.data.num_labels == 24
    command = shlex.split((run / "command.txt").read_text())
    assert command == ["python", "scripts/run_mm_late.py", *f"{flags} --epochs 3 --save_preds --save_model".split(),
                       *"--num_workers 0 --gpu -1".split()]  # fmt: skip

    before = {path.name: path.read_bytes() for path in folder.glob("*_metrics_*.csv")}
    assert end(run_mm_late, f"{flags} --epochs 3 --resume") == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*_metrics_*.csv")} == before
    assert end(run_mm_late, f"{flags} --load_saved_model") == 0
    saved = folder / f"{stem}_metrics_lm.csv"
    assert list(rows(saved)[0]) == ["metric", "result"]
    assert column(saved, "result") == pytest.approx(last, abs=1e-5)
    assert rows(folder / f"{stem}_preds_lm.csv") == classes
    weights = torch.load(folder / f"{stem}_net.pth", weights_only=True)
    torch.save({**weights, "frozen": {"image": "other"}}, folder / f"{stem}_net.pth")
    assert end(run_mm_late, f"{flags} --load_saved_model") == 2
    assert "net.pth was trained with another frozen encoder" in capsys.readouterr().err
    (folder / f"{stem}_net.pth").write_bytes(b"no weights")
    assert end(run_mm_late, f"{flags} --load_saved_model") == 2
    assert "net.pth is not what --save_model writes" in capsys.readouterr().err
    assert end(run_mm_late, f"{flags} --seed 2 --load_saved_model") == 2
    assert "train with --save_model and the same flags first" in capsys.readouterr().err


def test_posts_of_text_alone_are_a_test_of_their_own(data: Path) -> None:
    assert end(run_txt, f"--model_name {TINY_TEXT} --task 5 --epochs 1 --eval_txt_test --save_preds --testing") == 0
    folder = Path("results/txt_only/testing")
    names = ("metrics_test.csv", "metrics_txt.csv", "metrics_val.csv", "preds.csv", "preds_txt.csv")
    assert sorted(path.name for path in folder.iterdir()) == [f"small_task5_seed30_{name}" for name in names]
    found = [row["data_id"] for row in rows(folder / "small_task5_seed30_preds_txt.csv")]
    assert found == [str(number) for number in range(100, 106)]
    assert not set(found) & {row["data_id"] for row in rows(folder / "small_task5_seed30_preds.csv")}
    assert list(column(folder / "small_task5_seed30_metrics_txt.csv", "result")) == list(METRICS)


def test_a_saved_model_is_asked_of_posts_of_text_alone_too(data: Path) -> None:
    models = f"--txt_model_name {TINY_TEXT} --img_model_name {TINY_IMAGE} --fusion_name concat"
    flags = f"{models} --task 5 --epochs 1 --eval_txt_test"
    assert end(run_mm_late, f"{flags} --save_model") == 0
    (written,) = Path("results/mm_late").glob("*_metrics_txt.csv")
    figures = written.read_bytes()
    written.unlink()
    assert end(run_mm_late, f"{flags} --load_saved_model") == 0
    assert written.read_bytes() == figures


def test_early_fusion_and_the_image_alone(data: Path) -> None:
    assert end(run_mm_early, f"--model vilt --txt_model_name {TINY_TEXT} --task 3 --use_tim_loss --evaltest") == 0
    stem = "vilt_task3_seed30_itm0.1"
    assert sorted(path.name for path in Path("results/mm_early").iterdir()) == [
        f"{stem}_{name}" for name in ("metrics.csv", "metrics_test.csv", "metrics_val.csv", "preds.csv")
    ]
    assert list(rows(Path(f"results/mm_early/{stem}_metrics_val.csv"))[0]) == ["metric", "epoch-1", "epoch-2"]
    assert end(run_img, f"--model_name {TINY_IMAGE} --task 3 --epochs 1 --feature_extract") == 0
    assert sorted(path.name for path in Path("results/img_only").iterdir()) == [
        f"small_task3_seed30_metrics_{part}.csv" for part in ("test", "val")
    ]


def recipe(options: Options) -> dict[str, Any]:
    """What the published code says of training."""
    training, data = options.training, options.data
    assert training.encoder_lr == training.lr and training.layer_decay == 1
    assert (training.optim, training.schedule, training.warmup, training.clip) == ("AdamW", "constant", 0, 0)
    assert (training.ema_m, training.num_train_iter, options.run.precision) == (0, -1, "float32")
    assert (options.run.algorithm, options.algorithm.class_balance, options.algorithm.labelled_view) == (
        "supervised", 1, "clean",
    )  # fmt: skip
    assert (data.num_labels, data.val_ratio, data.test_ratio, data.text_rule) == (0, 0.1, 0.1, "bertweet")
    assert options.net.feature_dropout == 0
    return {
        "lr": training.lr, "weight_decay": training.weight_decay, "dropout": options.net.dropout,
        "epoch": training.epoch, "seed": options.run.seed, "length": data.text_length,
    }  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_the_published_defaults(script: ModuleType, data: Path) -> None:
    usual = {"lr": 1e-5, "weight_decay": 2.5e-4, "dropout": 0.05, "epoch": 2, "seed": 30, "length": 128}
    found = options_of(script, f"{SCRIPTS[script]} --task 3")
    assert recipe(found) == usual | ({"length": 40} if script is run_mm_early else {})
    assert found.net.freeze == ("image" if script is run_mm_late else "")
    assert (found.algorithm.itc_loss_ratio, found.algorithm.itm_loss_ratio, found.data.num_posts) == (0, 0, 0)
    given = options_of(
        script, f"{SCRIPTS[script]} --task 3 --lr 0.1 --weight_decay 0 --dropout 0.5 --epochs 1 --seed 7"
    )
    changed = {"lr": 0.1, "weight_decay": 0, "dropout": 0.5, "epoch": 1, "seed": 7}
    assert recipe(given) == recipe(found) | changed


def test_the_published_example_to_the_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"data/data_key_imgtxt_random.csv": ""})
    options = options_of(run_mm_late, EXAMPLE)
    assert recipe(options) | {"length": 128} == {
        "lr": 1e-5, "weight_decay": 2.5e-4, "dropout": 0.05, "epoch": 7, "seed": 40, "length": 128,
    }  # fmt: skip
    net = options.net
    assert (net.text_net, net.image_net, net.fusion, net.freeze) == (
        "bernice",
        CHECKPOINTS["vit"],
        "attention",
        "image",
    )
    assert (net.text_pooling, net.feature_dim, net.image_grid) == ("cls", 768, 14)
    assert (options.data.num_posts, options.data.label_column, options.training.batch_size) == (200, "label", 8)
    run = published_run(run_mm_late, EXAMPLE)
    assert run.file("metrics_val.csv") == Path(
        "results/mm_late/testing/bernice-vit-attention_task2_seed40__metrics_val.csv"
    )
    assert options.run.save_name == "bernice-vit-attention_task2_seed40"


@pytest.mark.parametrize("task", TASKS)
def test_tasks_by_their_tables_and_by_their_folders(task: int, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = f"--model_name bert --task {task} --data_dir {tmp_path}"
    assert end(run_txt, words) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(
        f"run_txt.py: there are no posts of the task {TASKS[task].name}: supply the table {tmp_path}"
    )
    (tmp_path / TASKS[task].folder).mkdir()
    by_folder = options_of(run_txt, words)
    assert by_folder.data.dataset == {
        0: "tir_text", 1: "tir_image", 2: "tir", 3: "mvsa_single", 4: "mhp", 5: "micd", 6: "msd",
    }[task]  # fmt: skip
    write(tmp_path, {TASKS[task].key: ""})
    by_table = options_of(run_txt, words)
    assert (by_table.data.dataset, by_table.data.train_data_dir) == ("data_key", str(tmp_path / TASKS[task].key))
    assert by_table.data.label_column == {0: "text_is_represented", 1: "image_adds"}.get(task, "label")
    assert by_table.training.batch_size == (16 if task in (3, 5, 6) else 8)


@pytest.mark.parametrize(
    ("words", "net"),
    [
        ("--fusion_name aspect-att", {"fusion": "aspect_attention"}),
        ("--fusion_name xatt", {"fusion": "cross_attention", "text_tokens": 128, "image_grid": 7}),
        ("--fusion_name concat_cnn", {"fusion": "concat", "image_net": "resnet50.tv_in1k"}),
        ("--fusion_name joint --txt_weights some/folder", {"fusion": "joint", "text_weights": "some/folder"}),
        ("--fusion_name gmu --image_weights file", {"fusion": "gmu", "image_weights": "file", "freeze": "image"}),
    ],
)
def test_names_of_fusions_and_weights(words: str, net: dict[str, object], data: Path) -> None:
    options = options_of(run_mm_late, f"--txt_model_name bert --img_model_name resnet50 --task 3 {words}")
    assert {name: getattr(options.net, name) for name in net} == net


def test_early_nets(data: Path) -> None:
    lxmert = options_of(run_mm_early, "--model lxmert --task 5")
    assert (lxmert.net.net, lxmert.data.region_features) == ("lxmert", "data/mic_img_feats")
    assert options_of(run_mm_early, "--model lxmert --task 5 --region_features r").data.region_features == "r"
    mmbt = options_of(run_mm_early, "--model mmbt --task 3 --txt_model_name bernice --use_clip_loss").net
    assert (mmbt.net, mmbt.text_net, mmbt.image_net) == ("mmbt", "bernice", "resnet152.tv_in1k")
    assert options_of(run_mm_early, "--model mmbt --task 3").net.text_net == "bert"
    run = published_run(run_mm_early, "--model vilt --task 3 --evaltest --testing")
    assert not run.preds and not run.metrics  # as published: no such files in a trial


def test_flags_that_never_did_anything_are_accepted_and_named(data: Path, capsys: pytest.CaptureFixture) -> None:
    dead = "--use_iadds_loss --beta_iadds 0.3 --use_loss_correction"
    assert options_of(run_mm_late, f"{SCRIPTS[run_mm_late]} --task 3 {dead} --use_saved_features") == options_of(
        run_mm_late, f"{SCRIPTS[run_mm_late]} --task 3"
    )
    said = capsys.readouterr().err
    for flag in ("use_iadds_loss", "beta_iadds", "use_loss_correction"):
        assert f"warning: --{flag} never did anything in the published code; it is ignored\n" in said
    assert "--use_saved_features: preprocessed images are always kept" in said
    options_of(run_img, f"{SCRIPTS[run_img]} --task 3 --conv_att")
    assert "--conv_att never did anything" in capsys.readouterr().err


def test_mistakes_are_one_sentence(data: Path, capsys: pytest.CaptureFixture) -> None:
    late = f"--txt_model_name {TINY_TEXT} --img_model_name {TINY_IMAGE} --task 3"
    for words, sentence in (
        ("--fusion_name gmu --eval_txt_test", "only task 5 (MICD) has test posts of text alone, not task 3"),
        ("--fusion_name guess", "run_mm_late.py: --fusion_name guess: there is none of that name"),
        (
            "--fusion_name vilt",
            "run_mm_late.py: --fusion_name vilt is early fusion, in one net: train it with scripts/",
        ),
        ("--fusion_name gmu --use_clip_loss --use_tim_loss --beta_itc 0.9", "--beta_itc 0.9, --beta_itm 0.1: shares"),
        ("--fusion_name gmu --nsamples 5000", "run_mm_late.py: --nsamples 5000 is more than the"),
        ("--fusion_name gmu --nsamples 0", "run_mm_late.py: --nsamples 0 must be 1 or more, or -1 for all posts"),
        ("--fusion_name gmu --nsamples -2", "run_mm_late.py: --nsamples -2 must be 1 or more, or -1 for all posts"),
    ):
        assert end(run_mm_late, f"{late} {words}") == 2
        assert sentence in capsys.readouterr().err


def test_what_the_house_says_of_its_flags_is_said_of_the_scripts_own(data: Path, capsys: pytest.CaptureFixture) -> None:
    sentence = "--text_net bert, --image_net vit, --fusion x, --net y, --epoch 3, --num_labels 9, --lr 1"
    said = {
        run_mm_late: "--txt_model_name bert, --img_model_name vit, --fusion_name x, --net y, --epochs 3, --nsamples 9",
        run_mm_early: "--txt_model_name bert, --img_model_name vit, --fusion x, --model y, --epochs 3, --num_labels 9",
        run_txt: "--model_name bert, --image_net vit, --fusion x, --net y, --epochs 3, --num_labels 9",
        run_img: "--text_net bert, --model_name vit, --fusion x, --net y, --epochs 3, --num_labels 9",
    }
    for script, words in SCRIPTS.items():
        flags = published_run(script, f"{words} --task 3").flags
        assert flags.in_own_words(sentence) == f"{said[script]}, --lr 1"
    with pytest.raises(SystemExit):
        end(run_mm_late, f"{SCRIPTS[run_mm_late]} --task 3 --dropout 2")
    refusal = capsys.readouterr().err
    assert "--dropout 2" in refusal and "run_mm_late.py --help" in refusal and "main.py" not in refusal


@pytest.mark.parametrize("words", ["--epochs 0 must be 1 or more", "--lr 0 must be above 0"])
def test_zero_is_not_taken_for_a_default(words: str, capsys: pytest.CaptureFixture) -> None:
    flag, value = words.split()[:2]
    with pytest.raises(SystemExit, match="2"):
        end(run_txt, f"{SCRIPTS[run_txt]} --task 3 {flag} {value}")
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize(("words", "flag", "reader"), [
    ("vilt --img_weights none", "img_weights", "mmbt"),
    ("lxmert --img_weights none", "img_weights", "mmbt"),
    ("vilt --img_model_name small", "img_model_name", "mmbt"),
    ("lxmert --img_model_name small", "img_model_name", "mmbt"),
    ("vilt --region_features regions", "region_features", "lxmert"),
    ("mmbt --region_features regions", "region_features", "lxmert"),
])  # fmt: skip
def test_a_flag_of_another_early_net_is_refused(
    words: str, flag: str, reader: str, data: Path, capsys: pytest.CaptureFixture
) -> None:
    assert end(run_mm_early, f"--task 3 --model {words}") == 2
    assert capsys.readouterr().err == (
        f"run_mm_early.py: --{flag} is read by --model {reader} alone, not by {words.split()[0]}: leave it out\n"
    )


def test_posts_of_text_alone_are_missed_before_training(data: Path, capsys: pytest.CaptureFixture) -> None:
    words = f"--model_name {TINY_TEXT} --task 5 --epochs 1 --eval_txt_test"
    (data / "text_data_mic.csv").write_text("id,text,label\n")
    assert end(run_txt, words) == 2
    said = capsys.readouterr().err
    assert "text_data_mic.csv has none that could be read, or --testing drew none of them" in said
    (data / "text_data_mic.csv").unlink()
    shutil.rmtree("saved_models")
    assert end(run_txt, words) == 2
    assert "--eval_txt_test: there is no data/text_data_mic.csv, the table of" in capsys.readouterr().err
    assert not Path("saved_models").exists()
    write(data, {"MIC/data/text_data_mic.csv": ""})
    (data / "data_key_mic.csv").unlink()
    assert options_of(run_txt, words).data.dataset == "micd"
    (data / "MIC/data/text_data_mic.csv").unlink()
    assert end(run_txt, words) == 2
    assert "there is no data/MIC/text_data_mic.csv" in capsys.readouterr().err


def test_what_the_disk_refuses_to_saved_weights_is_one_sentence(
    data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: PublishedRecord, options: Options) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PublishedRecord, "evaluate_saved", refuse)
    assert end(run_mm_late, f"{SCRIPTS[run_mm_late]} --task 3 --load_saved_model") == 2
    assert capsys.readouterr().err == (
        "run_mm_late.py: results/mm_late: No space left on device; see to it and start it again\n"
    )
