"""Measure ratios of speed on this machine, in one process, variants in turns, each figure with its spread.

python scripts/bench.py                                  everything that this machine can do
python scripts/bench.py --only split,store --repeats 9   some of it
python scripts/bench.py --only crawl --crawl_posts 1000000 --crawl_kill_posts 50000   from a crawl to data sets
Nothing is downloaded: nets have random weights, posts are drawn. Exit code 1 where a section failed.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.entry import told  # noqa: E402

if TYPE_CHECKING:
    import torch

    from scripts.bench_timing import Row
    from scripts.bench_world import Bench

ANYWHERE = ("split", "scrd", "margin", "memory_order", "algorithms", "loading", "features", "store", "checkpoint")
ON_CUDA = ("throughput", "compiled", "precision", "host_reads", "strong_views")
"""What runs on the CPU only where it is named."""
ON_REQUEST = ("labelling", "crawl")
"""What takes long, and runs nowhere but where it is named."""
EVERY = ANYWHERE + ON_CUDA + ON_REQUEST


@dataclass(frozen=True)
class BenchOptions:
    """Ratios of speed on this machine"""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What to measure; auto: CUDA where there is one."""
    only: str = ""
    """Sections, separated by commas: split, scrd, margin, memory_order, algorithms, loading, features, store,
    checkpoint; for CUDA
    throughput, compiled, precision, host_reads, strong_views; on request labelling, crawl; empty: all but these two
    that this device has."""
    repeats: int = 5
    """Repeats of each measurement."""
    output: str = ""
    """JSON file for every repeat of every figure."""
    markdown: str = ""
    """Markdown file for the table."""
    store_rows: int = 1_000_000
    """Posts in the store that is read at random."""
    crawl_posts: int = 50_000
    """Posts of the synthetic crawl that is taken to data sets, in the folder for temporary files (TMPDIR)."""
    crawl_kill_posts: int = 0
    """Posts of the crawl in which each program is killed once and called again; 0: those of --crawl_posts."""
    text_weights: str = ""
    """Folder of the encoder whose labelling is measured, with a head of random weights; empty: a small BERT of random
    weights, on CUDA one of BERT-base's size."""
    texts: str = ""
    """Posts in any layout whose texts are labelled; empty: those of the synthetic world."""
    label_texts: int = 2000
    """Texts that are labelled, the first of them."""
    peak: float = 989.0
    """TFLOP/s that count as 100 % MFU; 989: bf16 without sparsity of H100 and H200."""
    tiny: bool = False
    """Smallest sizes, to see that it runs; the figures mean nothing."""

    def check(self) -> None:
        """Raise ValueError for a value that cannot be. Not left to tyro, which draws a box around it."""
        if self.repeats < 1:
            raise ValueError(f"--repeats {self.repeats} must be 1 or more")
        if self.store_rows < 1000:
            raise ValueError(f"--store_rows {self.store_rows} must be 1000 or more")
        if not 0 < self.peak < float("inf"):
            raise ValueError(f"--peak {self.peak} must be above 0")
        for name, low in {"crawl_posts": 300, "crawl_kill_posts": 0, "label_texts": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        unknown = [name for name in self.names if name not in EVERY]
        if unknown:
            raise ValueError(f"--only {unknown[0]}: no section is called so; there are {', '.join(EVERY)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The sections that --only names."""
        return tuple(name.strip() for name in self.only.split(",") if name.strip())


@dataclass
class Section:
    """What one section gave: rows, and why it stopped where it did."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    failure: str = ""
    seconds: float = 0.0


def sections() -> dict[str, Callable[[Bench], Iterator[Row]]]:
    """The sections by name."""
    from scripts import bench_algorithms, bench_crawl, bench_cuda, bench_data, bench_labelling, bench_step

    return {
        "split": bench_step.split_against_joint,
        "scrd": bench_step.scrd_step,
        "margin": bench_step.margin_loss,
        "memory_order": bench_step.memory_order,
        "algorithms": bench_algorithms.every_algorithm,
        "loading": bench_data.loading,
        "features": bench_data.cached_features,
        "store": bench_data.store_access,
        "checkpoint": bench_data.checkpoint,
        "throughput": bench_cuda.throughput,
        "compiled": bench_cuda.compiled,
        "precision": bench_cuda.precision,
        "host_reads": bench_cuda.no_host_reads,
        "strong_views": bench_cuda.strong_views,
        "labelling": bench_labelling.labelling,
        "crawl": bench_crawl.crawl_to_datasets,
    }


def run_section(name: str, function: Callable[[Bench], Iterator[Row]], bench: Bench) -> Section:
    """Run one section; what it gave before it failed is kept."""
    title = " ".join((function.__doc__ or "").split()).rstrip(".")
    section, begun = Section(name, title), time.perf_counter()
    print(f"{name}: {title}", file=sys.stderr, flush=True)
    try:
        for row in function(bench):
            section.rows.append(row)
            what, value, spread, _ = row.cells()
            print(f"  {what}: {value}{f' ({spread})' if spread else ''}", file=sys.stderr, flush=True)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not cost the other sections
        section.failure = _reason(error)
        print(f"  failed: {section.failure}", file=sys.stderr, flush=True)
    section.seconds = time.perf_counter() - begun
    return section


def _reason(error: Exception) -> str:
    """Kind, first line and innermost place of an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        place = f" ({path.parent.name}/{path.name}, line {trace.tb_lineno})"
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}{place}"


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    import timm
    import torch
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads of torch": torch.get_num_threads(),
        "load before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "transformers": transformers.__version__,
    }


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def markdown(done: list[Section], about: dict[str, Any], command: str) -> str:
    """Machine, command and a table for each section."""
    lines = [f"Machine: {', '.join(f'{name} {value}' for name, value in about.items())}.", "", f"`{command}`"]
    for section in done:
        lines += ["", f"### {section.name}", "", f"{section.title}.", ""]
        if section.rows:
            lines += ["| what | median | from to | repeats |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(row.cells())} |" for row in section.rows]
        if section.failure:
            lines += ["", f"Failed: {section.failure}"]
    return "\n".join(lines) + "\n"


def measure(options: BenchOptions, folder: Path) -> tuple[list[Section], dict[str, Any]]:
    """Run the sections that are asked for. Raises ValueError where there is no CUDA for `--device cuda`."""
    import torch

    from scripts.bench_world import Bench

    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: there is no CUDA device here; --device cpu measures the CPU")
    use_cuda = options.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", 0) if use_cuda else torch.device("cpu")
    bench = Bench(
        device, options.repeats, folder, options.tiny, options.store_rows, options.peak, options.crawl_posts,
        options.crawl_kill_posts, options.text_weights, options.texts, options.label_texts,
    )  # fmt: skip
    about, known, done = machine(device), sections(), []
    for name in options.names or (ANYWHERE + ON_CUDA if use_cuda else ANYWHERE):
        done.append(run_section(name, known[name], bench))
        gc.collect()
        if use_cuda:
            torch.cuda.empty_cache()
    return done, about


def write_json(path: Path, done: list[Section], about: dict[str, Any], command: str) -> None:
    """Every repeat of every figure."""
    content = {
        "command": command,
        "machine": about,
        "sections": [
            {
                "name": section.name,
                "seconds": section.seconds,
                "failure": section.failure,
                "rows": [
                    {"what": row.what, "unit": row.unit, "median": row.median, "values": row.values}
                    for row in section.rows
                ],
            }
            for section in done
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Measure, print the table, write what is asked for. The exit code is 1 where a section failed."""
    options = tyro.cli(BenchOptions, args=arguments, config=(tyro.conf.OmitArgPrefixes,), use_underscores=True)
    command = shlex.join(["python", "scripts/bench.py", *arguments])
    return told("bench.py", lambda: run(options, command))


def run(options: BenchOptions, command: str) -> int:
    """What `main` does with its options. Raises ValueError for a user's mistake."""
    options.check()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        done, about = measure(options, Path(folder))
    table = markdown(done, about, command)
    print(table, end="")
    if options.output:
        write_json(Path(options.output), done, about, command)
    if options.markdown:
        Path(options.markdown).parent.mkdir(parents=True, exist_ok=True)
        Path(options.markdown).write_text(table, encoding="utf-8")
    return int(any(section.failure for section in done))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
