from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import algorithms
from training.command_line import DEAD, Options, flags, load_options, parse, save_options

SCDR_LINE = (
    "--data_dir D --train_data_dir D --test_data_dir D --gpu 0 --save_dir S --lr 1e-4 --batch_size 2 --num_labels 600 "
    "--threshold 0.95 --num_train_iter 512"
)


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What parse says about a line that it must refuse, box drawing and line breaks removed."""
    with pytest.raises(SystemExit) as stop:
        parse(argv)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "Traceback" not in captured.err
    return " ".join(captured.err.translate(dict.fromkeys(map(ord, "╭╮╰╯│─"), " ")).split())


def test_nothing_given_is_the_synthetic_world_with_scrd():
    options = parse([])
    assert options.run.algorithm == "scrd"
    assert options.data.data_dir == options.data.train_data_dir == ""
    assert options.data.num_labels == 600
    assert options.algorithm.threshold == 0.95


def test_the_scdr_line_parses_verbatim(capsys):
    options = parse(SCDR_LINE.split())
    assert (options.data.data_dir, options.data.train_data_dir, options.data.test_data_dir) == ("D", "D", "D")
    assert (options.run.gpu, options.run.save_dir) == (0, "S")
    assert (options.training.lr, options.training.batch_size, options.training.num_train_iter) == (1e-4, 2, 512)
    assert (options.data.num_labels, options.algorithm.threshold) == (600, 0.95)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_short_forms_of_the_seeds():
    options = parse("-sn a -o -nl 30 -bsz 4 -ds scrd -nc 3 --p_cutoff 0.8".split())
    assert (options.run.save_name, options.run.overwrite) == ("a", True)
    assert (options.data.num_labels, options.data.dataset, options.data.num_classes) == (30, "scrd", 3)
    assert (options.training.batch_size, options.algorithm.threshold) == (4, 0.8)


def test_hyphens_stand_for_underscores():
    assert parse(["--num-labels", "7"]) == parse(["--num_labels", "7"]) == parse(["--num_labels=7"])


def test_values_that_look_like_flags_or_like_nothing():
    assert parse(["--gpu", "-1"]).run.gpu == -1
    assert parse(["--data_dir", ""]).data.data_dir == ""
    assert parse(["--save_name=-x"]).run.save_name == "-x"


def test_the_last_of_two_values_counts():
    assert parse(["--num_labels", "5", "-nl", "6"]).data.num_labels == 6
    assert parse(["--p_cutoff", "0.5", "--threshold", "0.6"]).algorithm.threshold == 0.6


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--amp", True),
        ("--amp True", True),
        ("--amp=true", True),
        ("--amp 1", True),
        ("--amp False", False),
        ("--no_amp", False),
        ("--no-amp", False),
        ("--amp --no_amp", False),
        ("--no_amp --amp", True),
        ("--no_amp False", True),
    ],
)
def test_boolean_flags(line, expected):
    assert parse(line.split()).run.amp is expected


def test_a_boolean_whose_default_is_true_and_one_with_a_short_form():
    assert parse([]).data.include_lb_to_ulb is True
    assert parse(["--include_lb_to_ulb", "False"]).data.include_lb_to_ulb is False
    assert parse(["-o", "False"]).run.overwrite is False


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--num_lables 5", ["--num_lables", "did you mean --num_labels"]),  # misspelt
        ("--num_lab 5", ["--num_lab;", "did you mean --num_labels"]),  # abbreviated
        ("--thresh 0.9", ["--thresh;", "did you mean --threshold"]),
        ("-overwrite", ["did you mean --overwrite"]),
        ("--zzz 1", ["there is no flag --zzz", "--help"]),
        ("foo", ["'foo'", "before the first flag"]),
        ("--lr 1 2", ["Unrecognized options: 2"]),
        ("--lr abc", ["--lr", "abc"]),
        ("--num_train_iter 1.5", ["--num_train_iter", "1.5"]),
        ("--seed", ["--seed"]),
        ("--amp maybe", ["--amp", "'maybe'"]),
        ("--label_balance even", ["--label_balance", "even", "proportional"]),
        ("--algorithm scdr", ["--algorithm scdr", "scrd"]),
        ("--algorithm ../scrd", ["there is none of that name"]),
        ("--algorithm fixmatch --plf code", ["--plf is an option of --algorithm scrd", "here is fixmatch"]),
        ("--algorithm supervised --threshold 0.9", ["--threshold is an option of --algorithm", "fixmatch"]),
    ],
)
def test_mistakes_are_named(capsys, line, words):
    said = refused(capsys, *line.split())
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--num_labels -3", ["--num_labels -3", "0 or more"]),
        ("--num_classes 1", ["--num_classes 1"]),
        ("--val_ratio 0.5 --test_ratio 0.5", ["--val_ratio 0.5", "--test_ratio 0.5", "below 1"]),
        ("--val_ratio 1.5", ["--val_ratio 1.5"]),
        ("--modality_dropout -0.1", ["--modality_dropout -0.1"]),
        ("--world_noise 2", ["--world_noise is 2"]),
        ("--world_missing_image 0.6 --world_missing_text 0.6", ["--world_missing_image and", "not exceed 1"]),
        ("--world_posts 0", ["--world_posts is 0"]),
        ("--freeze images", ["--freeze 'images'", "image,text"]),
        ("--feature_views -1", ["--feature_views -1"]),
        ("--dropout 1", ["--dropout 1"]),
        ("--gpu -2", ["--gpu -2"]),
        ("--resume --overwrite", ["--overwrite", "--resume"]),
        ("--eval_only --overwrite", ["--overwrite", "--eval_only"]),
        ("--amp --precision float32", ["--amp", "--precision"]),
        ("--save_name=", ["--save_name is empty"]),
        ("--uratio 0", ["--uratio 0", "from 1 up"]),
        ("--lr nan", ["--lr nan"]),
        ("--lr inf", ["--lr inf"]),
        ("--batch_size 0", ["--batch_size 0"]),
        ("--batch_size 2 --accumulate 4", ["--accumulate 4", "--batch_size 2"]),
        ("--ema_m 1", ["--ema_m 1"]),
        ("--layer_decay 0", ["--layer_decay 0"]),
        ("--threshold -1", ["--threshold -1"]),
        ("--threshold nan", ["--threshold nan"]),
        ("--ulb_loss_ratio inf", ["--ulb_loss_ratio inf"]),
    ],
)
def test_values_out_of_range_are_named(capsys, line, words):
    said = refused(capsys, *line.split())
    for word in words:
        assert word in said


def test_dead_flags_of_the_seeds_are_ignored_with_one_warning_each(capsys):
    line = [token for flag in sorted(DEAD) for token in (flag, "0.5")]
    assert parse([*line, "--num_labels", "9"]) == parse(["--num_labels", "9"])
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == len(DEAD)
    for flag, warning in zip(sorted(DEAD), warnings, strict=True):
        assert f"{flag} never did anything" in warning


def test_a_dead_flag_is_not_one_that_has_a_meaning():
    shared = {spelling for flag in flags("scrd") for spelling in flag.spellings}
    assert DEAD.isdisjoint(shared)
    assert parse("--net concat --dropout 0.2 --data_dir D -o".split()).net.net == "concat"


def test_a_dead_flag_lives_where_an_algorithm_has_it(write_algorithm, capsys):
    source = """
class Sharpening(Algorithm):
    name = "sharpening"
    @dataclass(frozen=True)
    class Options:
        T: float = 0.5
"""
    write_algorithm("sharpening", "from dataclasses import dataclass\nfrom algorithms.base import Algorithm\n" + source)
    assert parse("--algorithm sharpening --T 0.2".split()).algorithm.T == 0.2
    assert "ignored" not in capsys.readouterr().err


def test_a_dead_flag_takes_no_value_of_another(capsys):
    options = parse("--dis_ce --lr 0.5 --hard_label True --seed 3".split())
    assert (options.training.lr, options.run.seed) == (0.5, 3)


def test_config_lies_between_the_command_line_and_the_defaults(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("algorithm: fixmatch\nlr: 1e-4\nnum_labels: 30\np_cutoff: 0.7\namp: true\nsave_name: 600\n")
    options = parse(["--config", str(config), "-nl", "60"])
    assert options.run.algorithm == "fixmatch"
    assert (options.run.amp, options.run.save_name) == (True, "600")
    assert (options.training.lr, options.algorithm.threshold) == (1e-4, 0.7)
    assert options.data.num_labels == 60  # the command line wins, under its short name too
    assert options.training.uratio == 4  # a default
    assert parse(["--config", str(config), "--no_amp"]).run.amp is False
    assert parse(["--config", str(config), "--algorithm", "scrd"]).run.algorithm == "scrd"


def test_values_of_a_file_and_the_line_are_checked_together(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("val_ratio: 0.9\n")
    assert parse(["--config", str(config), "--test_ratio", "0.05"]).data.val_ratio == 0.9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("num_lables: 5", ["--num_lables", "did you mean --num_labels"]),
        ("training: {lr: 0.1}", ["training", "one plain value"]),
        ("lr:", ["lr", "one plain value"]),
        ("- lr", ["flat mapping"]),
        ("lr: [", ["cannot be read"]),
        ("config: other.yaml", ["command line only"]),
        ("lr: abc", ["--lr", "abc", "config.yaml"]),
        ("uratio: 0", ["--uratio 0", "config.yaml"]),
    ],
)
def test_mistakes_in_a_config_are_named(tmp_path, capsys, content, words):
    config = tmp_path / "config.yaml"
    config.write_text(content)
    said = refused(capsys, "--config", str(config))
    for word in words:
        assert word in said.replace(" config.yaml", "config.yaml")


def test_a_config_that_is_not_there(tmp_path, capsys):
    assert "none.yaml" in refused(capsys, "--config", str(tmp_path / "none.yaml"))
    assert "cannot be read" in refused(capsys, "--config", str(tmp_path))


def test_under_lies_below_config(tmp_path):
    save_options(parse("--num_labels 30 --seed 5 --uratio 2".split()), tmp_path / "options.yaml")
    (tmp_path / "config.yaml").write_text("seed: 6\nuratio: 3")
    line = ["--config", str(tmp_path / "config.yaml"), "--uratio", "7"]
    options = parse(line, under=tmp_path / "options.yaml")
    assert (options.data.num_labels, options.run.seed, options.training.uratio) == (30, 6, 7)


def test_options_saved_with_another_algorithm_count_but_for_its_own(tmp_path, capsys):
    file = tmp_path / "options.yaml"
    save_options(parse("--num_labels 30 --threshold 0.7 --plf match --itc_loss_ratio 0.2".split()), file)
    options = parse(["--config", str(file), "--algorithm", "fixmatch"])
    assert (options.run.algorithm, options.data.num_labels, options.algorithm.threshold) == ("fixmatch", 30, 0.7)
    assert options.algorithm.itc_loss_ratio == 0.2
    said = capsys.readouterr().err
    assert said == f"note: {file}: what is an option of scrd alone does not count with --algorithm fixmatch\n"
    save_options(parse(["--scrd_variant", "released"]), file)
    assert parse(["--config", str(file), "--algorithm", "fixmatch"]).run.scrd_variant == "reconstructed"
    assert parse(["--config", str(file)]).run.algorithm == "scrd_released"
    file.write_text("algorithm: fixmatch\nplf: match\n")
    assert "--plf is an option of --algorithm scrd" in refused(capsys, "--config", str(file))
    file.write_text("algorithm: scrd\nplff: match\n")
    assert "no flag --plff" in refused(capsys, "--config", str(file), "--algorithm", "fixmatch")


def test_help_shows_what_a_preset_sets(tmp_path, capsys):
    preset = tmp_path / "preset.yaml"
    preset.write_text("algorithm: fixmatch\nlr: 0.0123\nthreshold: 0.77\n")
    with pytest.raises(SystemExit) as stop:
        parse(["--help"], under=preset, prog="other.py")
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert said.startswith("usage: other.py") and "(default: 0.0123)" in said and "(default: 0.77)" in said


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_saved_options_come_back(tmp_path, algorithm):
    options = parse(["--algorithm", algorithm, "--lr", "1e-5", "--save_name", "no", "--text_column", "täxt: #1"])
    save_options(options, tmp_path / "options.yaml")
    assert load_options(tmp_path / "options.yaml") == options
    flat = yaml.safe_load((tmp_path / "options.yaml").read_text(encoding="utf-8"))
    assert set(flat) == {flag.name for flag in flags(algorithm)}
    assert flat["algorithm"] == algorithm


def same(options: Options, folder: Path) -> bool:
    save_options(options, folder / "options.yaml")
    return load_options(folder / "options.yaml") == options


@settings(max_examples=15, deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1),
    lr=st.floats(0, 1e6),
    seed=st.integers(0, 2**62),
    amp=st.booleans(),
)
def test_any_value_survives_saving(tmp_path_factory, name, lr, seed, amp):
    options = parse([])
    run = dataclasses.replace(options.run, save_name=name, seed=seed, amp=amp)
    training = dataclasses.replace(options.training, lr=lr)
    assert same(dataclasses.replace(options, run=run, training=training), tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("algorithm", algorithms.names())
def test_help_groups_the_options_and_shows_the_algorithms_own(capsys, algorithm):
    with pytest.raises(SystemExit) as stop:
        parse(["--algorithm", algorithm, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for title in ("run options", "data options", "world options", "net options", "training options"):
        assert title in shown
    for flag in flags(algorithm):
        assert all(spelling in shown for spelling in flag.spellings)
    for other in algorithms.names():
        assert other in shown


def test_help_tells_what_inherited_and_own_options_do(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Confidence from which a pseudo-label is learned from" in shown  # algorithms/options.py
    assert "Filter of pseudo-labels" in shown  # algorithms/scrd.py
    assert "Folder of runs" in shown  # training/options.py
