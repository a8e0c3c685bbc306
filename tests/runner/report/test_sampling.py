"""The sampling in force, in words."""

from models.headers.recommended import Recommended
from runner.report.sampling import asked_line, sampling_lines
from runner.types.sampling import Sampling, in_force

FOUND = in_force(
    Sampling(seed=1),
    [
        Recommended("temp", 0.6, "model"),
        Recommended("top_p", 0.9, "Qwen3", "https://example.org/q"),
        Recommended("top_k", 20, "Qwen3", "https://example.org/q"),
    ],
)


def test_what_was_asked_for_on_one_line() -> None:
    assert asked_line(in_force(Sampling(temperature=0.2, seed=1))) == "temp 0.2, seed 1 (asked for)"
    assert asked_line(in_force(Sampling())) == "Nothing is asked for: all sampling is automatic."


def test_a_line_for_each_source_with_its_page() -> None:
    assert list(sampling_lines(FOUND)) == [
        "temp 0.6 (the model's own)",
        "top-p 0.9, top-k 20 (recommended for Qwen3, https://example.org/q)",
        "min-p 0.05, repeat-penalty 1, frequency-penalty 0, presence-penalty 0 (llama.cpp's default)",
        "seed 1 (asked for)",
    ]
