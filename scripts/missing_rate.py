"""What a missing modality costs a trained run: `python scripts/missing_rate.py RUN` writes a table and a picture."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class MissingRateOptions:
    """Figures of a run's best model as 0 to 100 % of the test posts lose their image, or their text"""

    run: tyro.conf.Positional[Path]
    """Folder of the run; missing_rate.csv and missing_rate.png are written there."""
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
    from evaluation.missing_rate import missing_rate_curve, write_curve
    from nets.post_net import MODALITIES
    from training.assembly import autocast_type
    from training.finished import reassemble
    from training.run_folder import RunFolder

    assembly = reassemble(RunFolder(options.run), options.gpu)
    if set(assembly.net.reads) != set(MODALITIES):
        raise ValueError(f"{options.run}: its net reads the {assembly.net.reads[0]} alone and has nothing to lose")
    amp = autocast_type(assembly.options, assembly.device)
    curve = missing_rate_curve(
        assembly.net, assembly.batches_of, assembly.split.test, assembly.store, options.seed, amp
    )
    table, picture = options.run / "missing_rate.csv", options.run / "missing_rate.png"
    try:
        write_curve(curve, table, picture, options.run.name)
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be written: {error.strerror or error}") from error
    for point in (point for point in curve if point["rate"] in (0, 0.5, 1)):
        print(f"{point['rate']:.0%} of {point['posts']} without {point['missing']}: macro-F1 {point['macro_f1']:.3f}")
    print(f"{table}, {picture}")


if __name__ == "__main__":
    try:
        main(tyro.cli(MissingRateOptions, use_underscores=True))
    except ValueError as error:
        print(f"missing_rate.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
