from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import algorithms
from algorithms.losses import decoupling
from scripts.bench import Section, main, markdown, run_section
from scripts.bench_algorithms import every_algorithm, many_posts
from scripts.bench_cuda import no_waiting, operations
from scripts.bench_step import gradient_difference, margin_by_loop
from scripts.bench_timing import Row, interleave, ratios
from scripts.bench_world import Bench, Shape

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def test_sections_give_figures_with_their_repeats(tmp_path, capsys):
    words = "--device cpu --tiny --only margin,memory_order,store --repeats 2 --store_rows 2000".split()
    code = main([*words, "--output", str(tmp_path / "bench.json"), "--markdown", str(tmp_path / "bench.md")])
    assert code == 0
    found = json.loads((tmp_path / "bench.json").read_text())
    assert [section["name"] for section in found["sections"]] == ["margin", "memory_order", "store"]
    assert found["machine"]["torch"] == torch.__version__
    rows = {row["what"]: row for section in found["sections"] for row in section["rows"]}
    assert len(rows["12 rows: loop over vectorised"]["values"]) == 2
    assert rows["12 rows: relative difference of gradients"]["median"] < 1e-5
    assert len(rows["mobilenetv2_100, 2 images of 64 px: channels first over last"]["values"]) == 2
    assert len(rows["open the store of 2,000"]["values"]) == 2
    assert all(math.isfinite(value) for row in rows.values() for value in row["values"])
    table = (tmp_path / "bench.md").read_text()
    assert capsys.readouterr().out == table
    assert "### margin" in table
    assert "| write 2,000 texts |" in table


def test_a_section_that_fails_keeps_its_rows_and_says_why():
    def failing(bench):
        """Fails half-way."""
        yield Row("a figure", "s", (1.0, 2.0, 4.0))
        raise RuntimeError("the disk is full\nand more")

    section = run_section("failing", failing, Bench(CPU, 1, Path()))
    assert section.rows[0].cells() == ("a figure", "2 s", "1 to 4", "3")
    assert section.failure.startswith("RuntimeError: the disk is full (scripts/test_bench.py, line")
    assert "Failed: RuntimeError" in markdown([section], {"cores": 2}, "bench")


def test_a_failure_is_the_exit_code_and_costs_no_other_section(monkeypatch, tmp_path):
    def measured(options, folder):
        return [Section("first", "First", failure="it broke"), Section("second", "Second")], {}

    monkeypatch.setattr("scripts.bench.measure", measured)
    assert main(["--markdown", str(tmp_path / "new" / "bench.md")]) == 1
    assert "### second" in (tmp_path / "new" / "bench.md").read_text()


def test_variants_take_turns():
    order: list[str] = []

    def variant(name):
        return lambda: order.append(name) or 4

    seconds = interleave({"a": variant("a"), "b": variant("b")}, 2, CPU)
    assert order == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]
    assert ratios((4.0, 9.0), (2.0, 3.0)) == (2.0, 3.0)


def test_algorithms_have_a_row_beside_fixmatch(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(algorithms, "names", lambda: ["fixmatch", "supervised"])
    rows = list(every_algorithm(Bench(CPU, 1, tmp_path, tiny=True)))
    assert [row.what for row in rows] == [
        "cached features: fixmatch",
        "cached features: supervised over fixmatch",
        "small nets: fixmatch",
        "small nets: supervised over fixmatch",
    ]
    assert "flexmatch is not here" in capsys.readouterr().err


def test_a_step_at_many_posts_over_one_at_few(tmp_path):
    (row,) = many_posts(Bench(CPU, 2, tmp_path, tiny=True), "fixmatch")
    assert row.what == "fixmatch: step at 20,000 posts over step at 10,000"
    assert len(row.values) == 2 and all(value > 0 for value in row.values)


def test_split_and_joint_step_have_the_same_gradients():
    assert gradient_difference(Bench(CPU, 1, Path()), Shape("test_vit", 32, 2), 2) < 1e-5


def test_the_loop_is_the_definition_of_the_margin_loss():
    # anchors 0 and 1 (one class): cosines 0 with each other, 1 and 0 with the third; the third has no positive
    common = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    label = torch.tensor([0, 0, 1])
    expected = ((decoupling.MARGIN - 0 + 1) + (decoupling.MARGIN - 0 + 0)) / 2
    assert margin_by_loop(common, label).item() == pytest.approx(expected)


def test_operations_of_a_matrix_product_and_its_backward():
    weight = torch.randn(5, 7, requires_grad=True)
    assert operations(lambda: (torch.randn(3, 5) @ weight).sum().backward()) == 2 * (2 * 3 * 5 * 7)


def test_a_host_read_is_noticed():
    value = torch.tensor(1.0)
    with no_waiting(CPU):
        value + 1
        with pytest.raises(RuntimeError, match=r"the host reads a tensor in .*test_bench.py"):
            float(value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", "splat"], "--only splat: no section is called so; there are split,"),
        (["--repeats", "0"], "--repeats 0 must be 1 or more"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda: there is no CUDA device here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here"),
        ),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"bench.py: {sentence}")
    assert said.count("\n") == 1


def test_help_is_quick():
    code = (
        "import sys; sys.argv = ['bench.py', '--help']\nimport runpy\n"
        "try:\n    runpy.run_path('scripts/bench.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--store_rows" in done.stdout
