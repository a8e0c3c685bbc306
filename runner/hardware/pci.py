"""Who made the display controllers on the PCI bus. The standard library only: it runs before anything is installed."""

from pathlib import Path

SYS = Path("/sys")
_MAKERS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}


def cards(*, integrated: bool = True) -> tuple[str, ...]:
    """Makers of the display controllers on the PCI bus (Linux; class 03); Intel's integrated ones are at 00:02."""
    makers = []
    for device in sorted((SYS / "bus/pci/devices").glob("*")):
        kind, vendor = read(device / "class"), read(device / "vendor").strip()
        counts = integrated or not device.name.startswith("0000:00:02.")
        if kind.startswith("0x03") and vendor in _MAKERS and counts:
            makers.append(_MAKERS[vendor])
    return tuple(dict.fromkeys(makers))


def read(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
