"""Checkpoints are there whole or not at all, and run nothing when they are read."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import zlib
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.toy import exit_code
from training import checkpoint as module
from training.checkpoint import (
    CheckpointError,
    checkpoints,
    load_checkpoint,
    load_state,
    load_weights,
    plain_state,
    save_checkpoint,
    save_weights,
    share_weights,
)


def save(folder: Path, step: int, size: int = 4) -> Path:
    weights = {"weight": torch.full((size,), float(step))}
    return save_checkpoint(folder, step, weights, weights, {"moments": torch.ones(2) * step}, {"net": "a"}, {})


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    read = load_checkpoint(tmp_path, {"net": "a"})
    assert read is not None
    assert (read.path, read.step) == (path, 7)
    assert read.net["weight"].tolist() == [7.0] * 4
    assert read.state["moments"].tolist() == [7.0, 7.0]
    assert load_checkpoint(tmp_path / "nothing") is None


def test_the_last_two_are_kept_and_later_ones_of_an_abandoned_way_go(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save(tmp_path, step)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010", "step-00000015"]
    save(tmp_path, 12)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010", "step-00000012"]


@pytest.mark.parametrize("name", ["net.safetensors", "ema.safetensors", "state.pt", "meta.json"])
def test_a_truncated_newest_one_is_named_and_the_one_before_used(tmp_path: Path, name: str) -> None:
    save(tmp_path, 5)
    newest = save(tmp_path, 10) / name
    newest.write_bytes(newest.read_bytes()[:-20])
    said: list[str] = []
    read = load_checkpoint(tmp_path, {"net": "a"}, said.append)
    assert read is not None and read.step == 5
    assert said[0].startswith(f"unreadable checkpoint {newest.parent}")
    assert "step-00000005" in said[1]


def test_a_changed_byte_is_seen(tmp_path: Path) -> None:
    path = save(tmp_path, 5) / "net.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    said: list[str] = []
    with pytest.raises(CheckpointError, match="none of the 1 checkpoints"):
        load_checkpoint(tmp_path, None, said.append)
    assert "checksum" in said[0]


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path) -> None:
    folder, trace = tmp_path / "checkpoints", tmp_path / "trace"
    path = save(folder, 5)
    torch.save({"moments": Evil(f"touch {trace}")}, path / "state.pt")
    assert pickle.dumps(Evil("true"))  # it is one that plain unpickling would run
    data = (path / "state.pt").read_bytes()
    meta = (path / "meta.json").read_text()
    old = module.json.loads(meta)
    old["files"]["state.pt"] = [len(data), zlib.crc32(data)]  # who forges a checkpoint forges its checksum too
    (path / "meta.json").write_text(module.json.dumps(old))
    said: list[str] = []
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path, None, said.append)
    assert "weights_only" in said[0].lower() or "unsupported" in said[0].lower()
    assert not trace.exists()


def crash_while_writing(folder: Path, where: str) -> None:
    """Die with half a file written, or with all written and not renamed."""

    def half(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        os._exit(9)

    if where == "half":
        module._write = half
    else:
        module.os.rename = lambda *names: os._exit(9)
    save(folder, 10)


@pytest.mark.parametrize("where", ["half", "before the rename"])
def test_a_crash_while_writing_leaves_the_one_before(tmp_path: Path, where: str) -> None:
    save(tmp_path, 5)
    assert exit_code(crash_while_writing, tmp_path, where) == 9
    assert list(tmp_path.glob(".tmp-*"))
    read = load_checkpoint(tmp_path)
    assert read is not None and read.step == 5
    save(tmp_path, 10)
    assert not list(tmp_path.glob(".tmp-*"))
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005", "step-00000010"]


def fill_the_disk(folder: Path, message: Path) -> None:
    """Save in a process whose files may have 100 kB at most: writing fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    found = []
    for action in (
        lambda: save(folder, 10, size=1_000_000),
        lambda: save_weights(folder / "model.safetensors", {"weight": torch.ones(1_000_000)}),
    ):
        try:
            action()
        except CheckpointError as error:
            found.append(str(error))
    message.write_text("\n".join(found))


def test_a_full_disk_is_said_and_what_was_there_is_intact(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 5)
    save_weights(folder / "model.safetensors", {"weight": torch.zeros(3)})
    assert exit_code(fill_the_disk, folder, tmp_path / "message") == 0
    messages = (tmp_path / "message").read_text().splitlines()
    assert len(messages) == 2
    assert "cannot write the checkpoint of step 10" in messages[0] and "--resume" in messages[0]
    assert "model.safetensors" in messages[1]
    read = load_checkpoint(folder)
    assert read is not None and read.step == 5
    assert load_weights(folder / "model.safetensors")["weight"].tolist() == [0, 0, 0]
    assert not list(folder.glob(".tmp-*"))


def test_weights_of_another_net_are_refused_by_name() -> None:
    state = plain_state(nn.Linear(2, 3))
    with pytest.raises(CheckpointError, match=r"weight has shape \(3, 2\), the net's \(3, 4\)"):
        load_state(nn.Linear(4, 3), state, "file")
    with pytest.raises(CheckpointError, match="it has bias, which the net has not"):
        load_state(nn.Linear(2, 3, bias=False), state, "file")
    with pytest.raises(CheckpointError, match=r"it lacks 0\.weight"):
        load_state(nn.Sequential(nn.Linear(2, 3)), state, "file")


def compiled(net: nn.Module) -> nn.Module:
    wrapped = torch.compile(net, backend="eager")
    assert isinstance(wrapped, nn.Module) and any("_orig_mod" in name for name in wrapped.state_dict())
    return wrapped


def test_compiled_to_eager_and_back(tmp_path: Path) -> None:
    first = compiled(nn.Sequential(nn.Linear(2, 3)))
    save_weights(tmp_path / "a.safetensors", plain_state(first))
    state = load_weights(tmp_path / "a.safetensors")
    assert set(state) == {"0.weight", "0.bias"}
    plain = nn.Sequential(nn.Linear(2, 3))
    load_state(plain, state, "a.safetensors")
    again = compiled(nn.Sequential(nn.Linear(2, 3)))
    load_state(again, plain_state(plain), "plain")
    for net in (first, plain, again):
        assert torch.equal(plain_state(net)["0.weight"], state["0.weight"])


def test_tied_weights_can_be_saved(tmp_path: Path) -> None:
    one, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    other.weight = one.weight
    save_weights(tmp_path / "tied.safetensors", plain_state(nn.Sequential(one, other)))
    assert torch.equal(load_weights(tmp_path / "tied.safetensors")["1.weight"], one.weight)


def test_unreadable_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no weights")
    for name in ("a.safetensors", "missing.safetensors"):
        with pytest.raises(CheckpointError, match=name):
            load_weights(tmp_path / name)


def test_shared_weights_are_written_once_and_outlive_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, asked = tmp_path / "cache" / "encoder.safetensors", []

    def state() -> dict[str, torch.Tensor]:
        asked.append(1)
        return {"weight": torch.arange(3.0)}

    runs = [tmp_path / name / "frozen.safetensors" for name in ("a", "b", "a")]  # the last one is made anew
    for run in runs:
        share_weights(kept, run, state)
    assert len(asked) == 1
    assert {run.stat().st_ino for run in runs} == {kept.stat().st_ino}
    assert [path.name for path in runs[0].parent.iterdir()] == ["frozen.safetensors"]
    save_weights(runs[0], {"weight": torch.zeros(3)})
    runs[1].unlink()
    assert load_weights(kept)["weight"].tolist() == [0.0, 1.0, 2.0]

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    share_weights(kept, runs[1], state)
    assert runs[1].stat().st_ino != kept.stat().st_ino
    assert load_weights(runs[1])["weight"].tolist() == [0.0, 1.0, 2.0]
