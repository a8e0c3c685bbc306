"""What the Hub offered, from one start to the next."""

from dataclasses import replace
from pathlib import Path

from models.weights import Offer, WeightFile, WeightSet
from runner.storage.listings import recall, remember


def test_what_the_hub_offered_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "listings.json"
    file = WeightFile("m-Q4_0.gguf", 5, Path("/x"), "org/m", "a" * 40, "b" * 64)
    offers = [Offer(name, "hub", (WeightSet("Q4_0", (file,)),), "mit", ("A note.",)) for name in ("m", "n")]
    for offer in offers:
        remember(path, offer)
    remember(path, Offer("o", "file", (WeightSet("Q8_0", (replace(file, sha256=None),)),)))
    kept = recall(path)
    assert list(kept) == ["m", "n"]
    assert kept["m"].sets[0].files[0].path is None and kept["m"].sets[0].files[0].sha256 == "b" * 64
    path.write_text("{damaged")
    assert recall(path) == {}
