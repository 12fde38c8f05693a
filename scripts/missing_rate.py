"""What a missing modality costs trained runs: `python scripts/missing_rate.py RUN` writes a table and a picture.

Of many runs, as of `scripts/sweep.py ... --grid missing_text_rate=0,0.5,1`, `--output FOLDER` gets their means: of runs
whose training posts lost nothing at every rate, of the others at the rate that they were trained with.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.folders import writing
from training.entry import start

if TYPE_CHECKING:
    from evaluation.compare import Run
    from evaluation.missing_rate import Curve


@dataclass(frozen=True)
class MissingRateOptions:
    """Figures of a run's best model as 0 to 100 % of the test posts lose their image, or their text"""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, or folders of them; missing_rate.csv and missing_rate.png are written in each run's folder."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])] = ""
    """Folder for the table and the picture of all the runs, by method."""
    seed: int = 0
    """Seed of which posts lose a modality first."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""

    def __post_init__(self) -> None:
        for name, low in {"seed": 0, "gpu": -1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")


def main(options: MissingRateOptions) -> None:
    """Ask, score and write. Raises ValueError for a user's mistake."""
    from evaluation.compare import check_comparable, find_runs
    from evaluation.missing_rate import average
    from evaluation.missing_rate_report import draw, markdown, write_points

    runs, unfinished = find_runs(options.runs)
    if unfinished:
        print(f"note: {len(unfinished)} runs are not finished and are left out, as {unfinished[0]}", file=sys.stderr)
    if options.output:
        check_comparable(runs)
        budgets = sorted({run.results["num_labels"] for run in runs})
        if len(budgets) > 1:
            raise ValueError(f"--output: the runs have {budgets[0]} to {budgets[-1]} labels; give those of one number")
    curves = [curve_of(run, options) for run in runs]
    if not options.output:
        return
    both = [run.folder for run, curve in zip(runs, curves, strict=True) if curve.lost_both]
    if both:
        told = f"note: {len(both)} runs lost images and texts in training and count in no mean, as {both[0]}"
        print(told, file=sys.stderr)
    points, folder = average(curves), Path(options.output)
    if not points:
        raise ValueError("--output: no run is left to average")
    table = markdown(points)
    with writing(f"--output {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "missing_rate.md").write_text(table, encoding="utf-8")
        write_points(points, folder / "missing_rate.csv")
        draw(points, folder / "missing_rate.png")
    print(table, end="")


def curve_of(run: Run, options: MissingRateOptions) -> Curve:
    """A run's curve, written to its folder and told in short."""
    from evaluation.missing_rate import RATES, Curve, missing_rate_curve
    from evaluation.missing_rate_report import write_curve
    from nets.post_net import MODALITIES
    from training.assembly import autocast_type
    from training.finished import reassemble
    from training.run_folder import RunFolder

    assembly = reassemble(RunFolder(run.folder), options.gpu)
    if set(assembly.net.reads) != set(MODALITIES):
        raise ValueError(f"{run.folder}: its net reads the {assembly.net.reads[0]} alone and has nothing to lose")
    data = assembly.options.data
    trained = {"image": data.missing_image_rate, "text": data.missing_text_rate}
    amp = autocast_type(assembly.options, assembly.device)
    rates = sorted({*RATES, *trained.values()})
    rows = assembly.split.test
    points = missing_rate_curve(assembly.net, assembly.batches_of, rows, assembly.store, options.seed, amp, rates)
    table, picture = run.folder / "missing_rate.csv", run.folder / "missing_rate.png"
    with writing(table):
        write_curve(points, table, picture, run.folder.name)
    for point in (point for point in points if point["rate"] in (0, 0.5, 1)):
        print(f"{point['rate']:.0%} of {point['posts']} without {point['missing']}: macro-F1 {point['macro_f1']:.3f}")
    print(f"{table}, {picture}")
    method = " ".join(word for word in run.method.split(" ") if not word.startswith("missing_"))
    return Curve(method, trained, points)


if __name__ == "__main__":
    start(MissingRateOptions, main)
