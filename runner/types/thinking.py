"""Whether and how long a model thinks before it answers, as people say it. Pure data."""

from enum import StrEnum


class Think(StrEnum):
    """AUTO leaves it to the model's chat template; the last three are how hard."""

    AUTO = "auto"
    OFF = "off"
    ON = "on"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def is_level(self) -> bool:
        """Whether it says how hard to think."""
        return self in (Think.LOW, Think.MEDIUM, Think.HIGH)
