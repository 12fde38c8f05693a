"""The bench of labelling: all ways answer the same, and all of them are measured."""

from __future__ import annotations

import pytest
import torch

from scripts.bench_labelling import labelling
from scripts.bench_world import Bench


@pytest.mark.filterwarnings("ignore:You seem to be using the pipelines sequentially")
def test_every_way_answers_the_same(tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("id,text\n" + "".join(f"{n},{'a good day ' * (1 + n % 7)} {n} @me\n" for n in range(50)))
    bench = Bench(torch.device("cpu"), 2, tmp_path, tiny=True, texts=str(table))
    rows = {row.what: row for row in labelling(bench)}
    assert rows["texts"].values == (40,)
    for said in ("pipeline, one by one", "pipeline, batches of 32"):
        assert rows[f"largest difference of a probability from {said}"].median < 1e-5
        assert len(rows[f"batches of like length over {said}"].values) == 2
        assert min(rows[said].values) > 0
