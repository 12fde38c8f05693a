"""EmotionROI: 1,980 images of six emotions (Peng et al., ICIP 2016); joy and surprise are positive."""

from evaluation.benchmarks.base import Benchmark

_ABOUT = "EmotionROI, Peng et al. 2016, {}"
BENCHMARKS = (
    Benchmark("emotion_ROI_test", "EmotionROI", _ABOUT.format("its test images")),
    Benchmark("emotion_ROI_train", "EmotionROI", _ABOUT.format("its training images")),
    Benchmark("emotion_ROI_complete", "EmotionROI", _ABOUT.format("all images")),
)
