"""A search on a Hub on the loopback, judged for a machine, as people and scripts see it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import DownloadError
from models.headers.gguf_bytes import STRING
from models.hub.listing import Found, search
from runner.hardware.described_group import parse_hardware
from runner.report.search import hit_json, hit_line, width_of
from runner.service.search import judged
from runner.service.studies import Studies
from runner.storage.paths import paths
from runner.types.hit import Hit
from scripts.synthetic import headers
from scripts.synthetic.typed import Typed
from tests.support.homes import own_home, put
from tests.support.hub import Fault, Hub, environment

SMALL, LARGE, PICTURES, LOCKED = "org/phi-GGUF", "org/large-phi-GGUF", "org/phi-eyes-GGUF", "org/phi-locked-GGUF"
DOWNLOADS = {LARGE: 5000, SMALL: 70, PICTURES: 3, LOCKED: 2}
LAPTOP = parse_hardware("cpu,ram=16g@50gbps")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("root")
    for quant in ("Q4_0", "Q8_0"):
        headers.make("phi-3-mini", quant, root / SMALL)
    headers.make("mixtral-8x22b", "Q8_0", root / LARGE)
    projector = {"general.architecture": Typed(STRING, "clip")}
    put(root / PICTURES / "phi-F16.gguf", headers.header_bytes(projector, ()))
    put(root / LOCKED / "phi-Q4_0.gguf", bytes(100))
    for repo, count in DOWNLOADS.items():
        put(root / repo / ".hub.json", json.dumps({"downloads": count, "gated": repo == LOCKED and "auto"}).encode())
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def home(tmp_path: Path, hub: Hub) -> Iterator[Path]:
    hub.forget()
    with own_home(tmp_path, hub.endpoint):
        yield tmp_path


def new_studies() -> Studies:
    return Studies(paths(), lambda _sentence: None)


def hits() -> dict[str, Hit]:
    return {hit.repo: hit for hit in judged(search("phi"), new_studies, LAPTOP, ())}


def test_every_repository_is_judged_in_the_order_of_downloads(home: Path) -> None:
    found = hits()
    assert list(found) == [LARGE, SMALL, PICTURES, LOCKED]
    width = width_of([*found])
    assert hit_line(found[LARGE], width).startswith(f"{LARGE:<{width}}      5,000  does not fit: Q8_0 lacks ")
    small = hit_line(found[SMALL], width)
    assert small.startswith(f"{SMALL:<{width}}         70  CPU: Q4_0, 2.0 GiB, about ") and small.endswith(" tok/s")
    assert "phi-F16.gguf is a projector for images or sound (mmproj)." in hit_line(found[PICTURES], width)
    assert f"{LOCKED} is gated." in hit_line(found[LOCKED], width)


def test_the_same_for_programs(home: Path) -> None:
    found = {repo: hit_json(hit) for repo, hit in hits().items()}
    small = found[SMALL]
    assert (small["downloads"], small["quant"], small["verdict"], small["problem"]) == (70, "Q4_0", "cpu", None)
    assert small["bytes"] == small["download_bytes"] > 2e9 and small["decode_tps"] > 1
    assert (found[LARGE]["verdict"], found[LARGE]["decode_tps"]) == ("no", None)
    assert found[PICTURES]["verdict"] is None and "projector" in found[PICTURES]["problem"]
    assert len({tuple(one) for one in found.values()}) == 1  # the same keys everywhere


def test_a_row_comes_before_the_headers_of_the_later_ones(home: Path, hub: Hub) -> None:
    """Sixty repositories, four at a time: the first row is there while the last has not been asked about."""
    rows = judged([Found(SMALL, 1)] * 59 + [Found(LARGE, 1)], new_studies, LAPTOP, ())
    assert next(rows).repo == SMALL
    rows.close()  # type: ignore[attr-defined]
    assert len(hub.seen("/api/models/*")) < 60


def command(hub: Hub, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home), **environment(home, hub.endpoint)}
    python = [sys.executable, "-m", "localrun"]
    return subprocess.run([*python, *words], capture_output=True, text=True, timeout=120, check=False, env=variables)


def test_the_command(hub: Hub, tmp_path: Path) -> None:
    done = command(hub, tmp_path, "search", "phi", "eyes")
    assert (done.returncode, done.stderr) == (0, "")
    head, row = done.stdout.splitlines()
    assert head.split() == ["repository", "downloads", "on", "this", "machine"]
    assert row.startswith(f"{PICTURES}          3  phi-F16.gguf is a projector")
    told = json.loads(command(hub, tmp_path, "search", "large-phi", "--json").stdout)
    assert [one["repo"] for one in told] == [LARGE]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("search", "no-such-words"), 3, "The Hub has no GGUF repository whose name holds 'no-such-words'."),
        (("search",), 2, "The following arguments are required: WORDS"),
    ],
)
def test_what_goes_wrong_is_said(hub: Hub, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = command(hub, tmp_path, *words)
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_hub_that_fails_fails_the_search(home: Path, hub: Hub) -> None:
    hub.order(Fault("status", status=404, times=None))
    try:
        with pytest.raises(DownloadError):
            search("phi")
    finally:
        hub.forget()
