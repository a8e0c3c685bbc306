"""A download before and while it comes."""

from dataclasses import replace

import pytest

from models.weights import Progress
from runner.report.download import LARGE_DOWNLOAD, download_question, fraction, loading_line, progress_line
from runner.types.engine import LoadProgress
from runner.types.plan import Terms
from scripts.draw.plans import large_plan

PLAN = large_plan()
ONE = replace(PLAN.candidates[3], file_bytes=42_500_000_000, download_bytes=42_500_000_000)
NAME = "To download: Llama 3.3 70B Instruct Q4_K_M"


@pytest.mark.parametrize(
    ("left", "terms", "words"),
    [
        (42_500_000_000, Terms("/cache"), f"{NAME}, 42.5 GB, to /cache."),
        (42_500_000_000, Terms("/c", "mit", 3000), f"{NAME}, 42.5 GB, about 50 min 00 s, to /c, licence mit."),
        (10_000_000_000, Terms("/cache"), f"{NAME}, 10.0 GB of 42.5 GB are left, to /cache."),
        (42_500_000_000, Terms("/cache", seconds=0.01), f"{NAME}, 42.5 GB, to /cache."),
        (42_500_000_000, Terms("/c", "m\x1b[2Jit"), f"{NAME}, 42.5 GB, to /c, licence m␛[2Jit."),
    ],
)
def test_the_one_question_before_a_download(left: int, terms: Terms, words: str) -> None:
    assert download_question(PLAN, replace(ONE, download_bytes=left), terms) == words
    assert left >= LARGE_DOWNLOAD


@pytest.mark.parametrize(
    ("progress", "words", "share"),
    [
        (
            Progress("a.gguf", 500_000_000, 2_000_000_000, 10e6),
            "a.gguf  500 MB of 2.0 GB · 25% · 10 MB/s · 2 min 30 s left",
            0.25,
        ),
        (Progress("a.gguf", 0, 2_000_000_000), "a.gguf  0 kB of 2.0 GB · 0%", 0.0),
        (Progress("a\n.gguf", 5000, 5000, 10e6), "a .gguf  5 kB of 5 kB · 100%", 1.0),
        (Progress("a.gguf", 0, 0), "a.gguf  0 kB of 0 kB · 100%", 1.0),
    ],
)
def test_a_download_under_way(progress: Progress, words: str, share: float) -> None:
    assert progress_line(progress) == words
    assert fraction(progress) == share


def test_a_load_under_way() -> None:
    assert loading_line(ONE, LoadProgress(0.617)) == "Loading Q4_K_M  62%"
