"""Twitter Testing Dataset I, also called DeepSent: 1,269 photos that five people labelled (You et al., AAAI 2015)."""

from evaluation.benchmarks.base import Benchmark

FOLDER = "Twitter Testing Dataset I"
_ABOUT = "Twitter Testing Dataset I, You et al. 2015, {} of the five annotators agree"
BENCHMARKS = (
    Benchmark("5agree", FOLDER, _ABOUT.format("all")),
    Benchmark("4agree", FOLDER, _ABOUT.format("four or more")),
    Benchmark("3agree", FOLDER, _ABOUT.format("three or more")),
)
