"""Label new posts with a trained run: `python scripts/predict.py RUN POSTS --output FILE.csv`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.folders import writing
from datasets.options import DataOptions
from training.entry import start


@dataclass(frozen=True)
class PredictOptions:
    """Label new posts with the best model of a run: ids, probabilities, prediction, what the selection trusted; and
    its figures on those that have a label"""

    run: tyro.conf.Positional[Path]
    """Folder of the run."""
    posts: tyro.conf.Positional[Path]
    """Folder or file of posts in any layout that a reader knows, or a store; they need no labels."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File to write, .csv or .parquet."""
    dataset: Annotated[str, tyro.conf.arg(aliases=["-ds"])] = DataOptions.dataset
    """Reader of the layout, as the README lists them, or store; auto: the one that fits."""
    id_column: str | None = None
    """Table column of the id; None: the one that the run was trained with, and so for the others."""
    text_column: str | None = None
    """Table column of the text."""
    image_column: str | None = None
    """Table column of the image file, relative to the table's folder."""
    label_column: str | None = None
    """Table column of the label, where there is one."""
    region_features: str = DataOptions.region_features
    """Folder of the regions of images, for a run of --net lxmert, as main.py reads it."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-bsz"])] = 128
    """Posts of a batch."""
    num_workers: int = DataOptions.num_workers
    """Processes that read and decode posts; 0: none but the main one."""
    cache_dir: str = DataOptions.cache_dir
    """Where post stores and token ids are kept."""

    def __post_init__(self) -> None:
        for name, low in {"gpu": -1, "batch_size": 1, "num_workers": 0}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        if self.output.suffix not in (".csv", ".parquet"):
            raise ValueError(f"--output {self.output}: a prediction file is .csv or .parquet")
        if self.output.resolve() == self.posts.resolve():
            raise ValueError(f"--output {self.output} is the file of the posts: name another one")


def main(options: PredictOptions) -> None:
    """Read, answer and write. Raises ValueError for a user's mistake."""
    from evaluation.metrics import in_words, score
    from evaluation.tables import write_predictions
    from training.labelling import COLUMNS, columns_of, label_posts
    from training.run_folder import RunFolder

    folder = RunFolder(options.run)
    columns = {name: getattr(options, name) for name in COLUMNS if getattr(options, name) is not None}
    data = DataOptions(
        data_dir=str(options.posts), dataset=options.dataset, cache_dir=options.cache_dir,
        num_workers=options.num_workers, region_features=options.region_features, **columns_of(folder) | columns,
    )  # fmt: skip
    store, answers, classes = label_posts(folder, data, options.gpu, options.batch_size)
    with writing(f"--output {options.output}"):
        write_predictions(options.output, store, answers, classes)
    print(f"{options.output}: {len(answers):,} posts")
    if (answers.label >= 0).any():
        print(in_words("those with a label", score(answers.probabilities, answers.label, classes)))


if __name__ == "__main__":
    start(PredictOptions, main)
