"""The model that a script of the benchmarks is told by `-m`: a run's folder, a file, or the name of a published one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.offset import Offset
from nets.build import read_plan
from nets.encoders import IMAGE_NAMES
from nets.student import PUBLISHED, SUFFIXES, TWINS, ImageModel, load_student
from training.outcome import load_model
from training.run_folder import RunFolder


@dataclass(frozen=True)
class NamedModel:
    """A model, what its files of answers are called by, and where positive begins, if it is a run that found that."""

    name: str
    model: ImageModel
    offset: Offset | None = None


def find_model(word: str, models: Path, image_net: str = "") -> NamedModel:
    """The model that `word` says; a published one is a file of its name in the folder `models`.

    `image_net` is the ViT of a file whose shapes do not tell it. Raises ValueError where there is none.
    """
    if word in PUBLISHED:
        return NamedModel(word, _published(word, models, image_net))
    path = Path(word)
    if path.is_dir():
        return _of_run(path.resolve().name, RunFolder(path))
    if path.is_file():
        return NamedModel(path.stem, load_student(path, image_net))
    raise ValueError(
        f"-m {word} is neither a run's folder, nor a file with a student ({', '.join(SUFFIXES)}), nor one of the "
        f"published names: {', '.join(PUBLISHED)}"
    )


def _of_run(name: str, folder: RunFolder) -> NamedModel:
    net = load_model(folder)
    if not folder.results.is_file():
        raise ValueError(f"{folder.path} has no results.json: the run is not finished, go on with main.py --resume")
    results = json.loads(folder.results.read_text(encoding="utf-8"))
    offset = Offset(**results["two_classes"]) if results.get("two_classes") else None
    model = ImageModel(net, read_plan(folder.best.parent), tuple(results["classes"]), squeezed=False)
    return NamedModel(name, model, offset)


def _published(name: str, models: Path, image_net: str) -> ImageModel:
    for known in (name, *([TWINS[name]] if name in TWINS else [])):
        for path in (models / f"{known}{suffix}" for suffix in SUFFIXES):
            if not path.is_file():
                continue
            twin = "" if known == name else f" (as {known}, the same net)"
            print(f"Model {name} already downloaded!{twin}")
            model = load_student(path, image_net)
            wanted, found = (IMAGE_NAMES.get(word, word) for word in (image_net or PUBLISHED[name], _image_net(model)))
            if wanted != found:
                raise ValueError(f"-m {name}: it is a {wanted}, and {path} holds a {found}; --image_net says otherwise")
            return model
    raise ValueError(
        f"-m {name}: there is no {models / name}.h5; put its file of T4SA 2.0's release there (or name the folder that "
        f"has it by --models_dir), or name a run's folder or a file"
    )


def _image_net(model: ImageModel) -> str:
    return "" if model.plan.image is None else str(model.plan.image["name"])
