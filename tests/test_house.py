"""The rules of the house that no single room can hold: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import algorithms

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "datasets": {"datasets"},
    "nets": {"nets", "datasets.batch"},
    "algorithms": {"algorithms", "nets", "datasets.batch"},
    "evaluation": {"evaluation", "nets", "datasets"},
    "training": {"training", "evaluation", "algorithms", "nets", "datasets"},
}
"""What a room may import of the house; a prefix stands for all that is below it."""

ROOMS = {*MAY_IMPORT, "scripts", "main", "tests"}
FORBIDDEN = ("transformers.Trainer", "transformers.trainer", "evaluate", "sentence_transformers")
"""They import the Hugging Face package `datasets`, whose name is that of our folder."""


def sources(*rooms: str) -> list[Path]:
    """The Python files of these rooms, main.py among those of "main"."""
    return sorted(path for room in rooms for path in [*ROOT.glob(f"{room}.py"), *ROOT.glob(f"{room}/**/*.py")])


def imports(tree: ast.AST) -> list[tuple[str, int]]:
    """The dotted names that a file imports anywhere, each with its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_below(name: str, prefixes: set[str] | tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_no_room_above_them(room):
    files = sources(room)
    assert files
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imports(parsed(path))
        if name.split(".")[0] in ROOMS and not is_below(name, MAY_IMPORT[room])
    ]
    assert wrong == []


def test_nothing_imports_what_needs_the_hugging_face_package_of_our_name():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources("main", *ROOMS)
        for name, line in imports(parsed(path))
        if is_below(name, FORBIDDEN)
    ]
    assert wrong == []


def test_the_rules_above_can_fail():
    tree = ast.parse("def f():\n    from transformers import Trainer\nimport evaluation.metrics\nimport evaluate")
    names = [name for name, _ in imports(tree)]
    assert [name for name in names if is_below(name, FORBIDDEN)] == ["evaluate", "transformers.Trainer"]
    assert not is_below("evaluation.metrics", MAY_IMPORT["datasets"])
    assert not is_below("datasets.store", MAY_IMPORT["nets"])


def test_every_package_imported_is_required():
    pip_names = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "faiss": "faiss-cpu"}
    required = set(re.findall(r"^[a-zA-Z][\w-]*", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
    imported = {
        name.split(".")[0] for path in sources("main", *MAY_IMPORT, "scripts") for name, _ in imports(parsed(path))
    }
    foreign = imported - ROOMS - set(sys.stdlib_module_names)
    assert {pip_names.get(name, name) for name in foreign} - required == set()


def test_our_datasets_is_the_one_that_is_imported():
    import datasets

    assert datasets.__file__ is not None
    assert Path(datasets.__file__).parent == ROOT / "datasets"


def test_datasets_itself_imports_nothing():
    assert imports(parsed(ROOT / "datasets" / "__init__.py")) == []


def test_transformers_works_beside_our_datasets():
    code = "import transformers; from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_help_is_quick_and_imports_no_torch():
    code = (
        "import sys; sys.argv = ['main.py', '--help']\n"
        "import runpy\n"
        "try:\n    runpy.run_path('main.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'timm', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    assert "--num_labels" in done.stdout
    assert seconds < 3  # alone 0.2; tests run beside others


def test_every_algorithm_file_is_found():
    written = {
        path.stem
        for path in sources("algorithms")
        if path.parent.name == "algorithms" and path.stem not in algorithms.SHARED
    }
    assert {"supervised", "fixmatch", "scrd"} <= written
    assert set(algorithms.names()) == written
    for name in algorithms.names():
        assert algorithms.find(name).name == name


def test_an_algorithm_that_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"--algorithm scdr: there is none of that name; there are .*scrd"):
        algorithms.find("scdr")
