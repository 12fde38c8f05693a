"""Twitter Testing Dataset II: 603 photos of tweets (Borth et al., ACM Multimedia 2013)."""

from evaluation.benchmarks.base import Benchmark

BENCHMARKS = (
    Benchmark("twitter_testing_2", "Twitter Testing Dataset II", "Twitter Testing Dataset II, Borth et al. 2013"),
)
