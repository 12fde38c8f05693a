"""A finished run, put together again: its posts, its split and its best model."""

from __future__ import annotations

from dataclasses import replace

from training.assembly import Assembly, assemble, choose_device
from training.checkpoint import load_state, load_weights
from training.command_line import load_options
from training.distributed import ALONE
from training.run_folder import RunFolder
from training.session import check_same


def reassemble(folder: RunFolder, gpu: int = 0) -> Assembly:
    """The assembly of the run in `folder`, whose net has the best weights, in evaluation mode.

    Raises ValueError where the folder holds no trained model, or its posts are not those that it was trained on.
    """
    if not folder.best.is_file() or not folder.options.is_file():
        raise ValueError(f"{folder.path} holds no trained model (best/model.safetensors): is it a finished run?")
    options = load_options(folder.options)
    options = replace(options, run=replace(options.run, gpu=gpu, compile=False))
    assembly = assemble(options, choose_device(options), ALONE)
    check_same(assembly, folder)
    load_state(assembly.net, load_weights(folder.best), folder.best)
    assembly.net.eval()
    return assembly
