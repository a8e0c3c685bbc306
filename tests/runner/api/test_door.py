"""Who comes in by the private door, and what is there where it cannot be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from models.errors import EngineError
from runner.api import warm
from runner.api.door import Door
from runner.api.kept import KeptModels
from runner.api.pool import Pool
from runner.client import attach, runtime
from runner.client.socket import Gone, told
from runner.client.version import ROOT, code_stamp
from runner.storage import tuned
from runner.storage.paths import paths
from runner.types.measurement import Tuned
from runner.types.placement import Placement
from runner.types.warm import Attach, Attached, Caller, Residents, WarmModel
from runner.types.wish import Wish
from scripts.synthetic.random_weights import GEOMETRIES, write
from tests.support.homes import own_home
from tests.support.waiting import COMMAND_S, joined, thread, until

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
TINY = GEOMETRIES["tiny-dense"]
QUESTION = attach.question_of("smollm2-135m", Wish())


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short path, and open to all: only who asks decides."""
    made = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@contextmanager
def somebody_else() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A door to a pool that has nothing loaded."""
    with closing(Pool(Wish())) as pool, closing(Door(path, warm.WarmDesk(KeptModels(pool)).answer)):
        yield path


@AS_ROOT
def test_another_user_is_turned_away_at_both_ends(folder: Path) -> None:
    with opened(folder / "keep.sock") as path:
        path.chmod(0o777)
        assert told(path, Residents()) == ()
        with somebody_else(), pytest.raises(Gone):
            told(path, Residents())
    with somebody_else():
        theirs = Door(folder / "theirs.sock", lambda wire: wire.close())
    with closing(theirs), pytest.raises(Gone, match="somebody else's"):
        told(folder / "theirs.sock", Residents())


def test_another_version_is_not_asked_and_another_environment_runs_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder / "keep.sock") as path:
        same = Caller(str(ROOT), attach.settings())
        assert not told(path, Attach(QUESTION, same)).is_outdated
        assert told(path, Attach(QUESTION, Caller("/elsewhere", same.settings))).is_outdated
        other = told(path, Attach(QUESTION, Caller(same.root, (("CUDA_VISIBLE_DEVICES", "1"),))))
        assert "other settings" in other.why and not other.is_outdated
        monkeypatch.setattr(warm, "code_stamp", lambda: [("llama_cpp/lib/libllama.so", 1, 2)])
        assert told(path, Attach(QUESTION, same)).is_outdated


def test_what_would_be_planned_otherwise_by_now_is_loaded_anew(folder: Path, tmp_path: Path) -> None:
    """A quantization has come, or `localrun tune` has kept a placement."""
    weights = tmp_path / "weights"
    weights.mkdir()
    question = attach.question_of(str(weights), Wish(ctx=256, threads=1, sequences=1))

    def attached(*, may_load: bool) -> Attached:
        found = told(path, Attach(question, Caller(str(ROOT), attach.settings()), may_load=may_load))
        until(lambda: not any(one.clients for one in told(path, Residents())), lambda: told(path, Residents()))
        return found

    with own_home(tmp_path), opened(folder / "keep.sock") as path:
        kept = Tuned("?", Placement((), 0, 2, (), 256), 0.1, time.time())
        changes: dict[str, Callable[[], object]] = {
            "it is the first": lambda: write(weights / "tiny-Q4_K_M.gguf", TINY, "Q4_K_M"),
            "a quantization has come": lambda: write(weights / "tiny-Q8_0.gguf", TINY, "Q8_0"),
            "a placement was kept": lambda: tuned.keep(paths().tuned, kept),
        }
        for change, happen in changes.items():
            happen()
            assert attached(may_load=False).number is None, change
            loaded = attached(may_load=True)
            assert loaded.number is not None and attached(may_load=False).number == loaded.number, change


def test_a_clock_that_jumps_ends_nothing_and_keeps_nothing_longer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = write(tmp_path / "tiny-Q8_0.gguf", TINY, "Q8_0")
    question = attach.question_of(str(weights), Wish(ctx=256, threads=1, sequences=1))
    path = folder / "keep.sock"
    with own_home(tmp_path), closing(Pool(Wish())) as pool:
        kept_models = KeptModels(pool)

        def row_after(keep_s: float) -> WarmModel:
            told(path, Attach(question, Caller(str(ROOT), attach.settings()), may_load=True, keep_s=keep_s))
            until(lambda: not kept_models.rows()[0].clients, kept_models.rows)
            return kept_models.rows()[0]

        with closing(Door(path, warm.WarmDesk(kept_models).answer)):
            row_after(3600.0)
            for jumped in (0.0, 4e9):
                monkeypatch.setattr("time.time", lambda jumped=jumped: jumped)
                (row,) = kept_models.rows()
                assert row.ends_in_s is not None and 3000 < row.ends_in_s <= 3600
                assert row.keeps_until == pytest.approx(jumped + row.ends_in_s, abs=1)
            row_after(0.0)
            joined(thread(kept_models.wait))
            assert kept_models.rows() == ()


def test_the_stamp_knows_the_program_and_its_llama_cpp() -> None:
    names = [name for name, _, _ in code_stamp()]
    assert any(name.endswith("runner/api/warm.py") for name in names)
    assert any("libllama" in name for name in names)


@AS_ROOT
def test_a_full_tmp_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=2,size=4k", "none", folder], check=False, timeout=COMMAND_S
    )
    if full.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        (folder / f"localrun-{os.getuid()}").mkdir(mode=0o700)  # the last that fits
        with pytest.raises(EngineError, match="cannot be made: No space left on device"):
            Door(runtime.made() / runtime.KEEPER, lambda wire: None)
        (folder / f"localrun-{os.getuid()}").rmdir()
        (folder / "full").touch()
        with pytest.raises(EngineError, match="cannot be made: No space left on device"):
            runtime.made()
    finally:
        subprocess.run(["umount", folder], check=True, timeout=COMMAND_S)
