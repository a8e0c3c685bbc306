"""What the benchmarks of several answers at a time ask."""

TEXT = (
    "The sea was calm on the morning of day {}, and the old man who kept the lighthouse went down to the rocks to see"
)
CELLS = 256  # for a prompt and its answer


def prompts(count: int) -> list[str]:
    """So many different ones."""
    return [TEXT.format(number) for number in range(count)]
