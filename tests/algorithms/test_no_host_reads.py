"""No step asks the device for a value: neither a number nor a shape that depends on one."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import algorithms
from algorithms.base import Step
from tests.algorithms.clusters import feature_net, make, own_net, posts, views_for, with_batch_norm

TORCH = str(Path(torch.__file__).parent)
READS = {f"aten::{name}" for name in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select")}


class Reads(TorchDispatchMode):
    """Collects the lines in which the host reads a value. On the CPU alone `one_hot` looks at its labels
    to check them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __torch_dispatch__(self, operator, types, arguments=(), named=None):
        name = operator._schema.name
        by_bool = name == "aten::index" and any(one is not None and one.dtype == torch.bool for one in arguments[1])
        if name in READS or by_bool:
            line = [frame for frame in traceback.extract_stack()[:-1] if not frame.filename.startswith(TORCH)][-1]
            if "one_hot" not in (line.line or ""):
                self.lines.append(f"{name}: {line.filename}:{line.lineno} {line.line}")
        return operator(*arguments, **(named or {}))


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("name", algorithms.names())
def test_no_step_reads_the_device(name, norm):
    net = with_batch_norm(True) if norm == "batch" and own_net(name) == "concat" else feature_net(own_net(name)).train()
    algorithm = make(name, net)
    views = views_for(name, posts(6), posts(12, 5, labelled=False, start=64))
    with Reads() as reads:
        algorithm(*views, Step(50, 0, 100)).total.backward()
    assert reads.lines == []


def test_a_read_is_noticed():
    def algorithm(values):
        return values[values > 0].sum() + values.max().item()

    with Reads() as reads:
        algorithm(torch.ones(2))
    assert [line.split(":")[2] for line in reads.lines] == ["index", "_local_scalar_dense"]
