"""Downloads from a Hub that misbehaves, into a cache that huggingface-hub then reads."""

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from models.errors import DownloadError, ExitCode
from models.hub.fetch import fetch
from models.hub.http import Patience, Stopped
from models.hub.listing import list_repo
from models.hub.transfer import Conditions
from models.weights import Progress, WeightFile
from tests.support.hub import GRANTED_TOKEN, Fault, Hub, environment, loopback_client
from tests.support.waiting import COMMAND_S, joined

QUICK = Patience(tries=4, first_wait=0.01, longest_wait=0.05, timeout=0.6)
SIZE = 3_000_000
REPO = "org/model-GGUF"
NAME = "model-Q4_K_M.gguf"
MB = 1_000_000


@pytest.fixture(autouse=True)
def client(tmp_path: Path) -> Iterator[None]:
    with loopback_client(tmp_path / "home"):
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root" / REPO
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(random.Random(1).randbytes(SIZE))
    return tmp_path / "root"


@pytest.fixture
def hub(root: Path) -> Iterator[Hub]:
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def terms(hub: Hub, cache: Path) -> Conditions:
    return Conditions(endpoint=hub.endpoint, cache=cache, reserve=0, patience=QUICK)


def listed(hub: Hub, cache: Path) -> tuple[WeightFile, ...]:
    return list_repo(REPO, endpoint=hub.endpoint, cache=cache).files


def is_right(file: WeightFile) -> bool:
    assert file.path is not None
    return hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256


def parts(cache: Path) -> list[Path]:
    return list(cache.rglob("*.localrun.part"))


def blobs(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("blobs/*") if not path.name.endswith(".part")]


def plant(cache: Path, name: str, content: bytes) -> None:
    """Leave something among the repository's blobs."""
    folder = cache / "models--org--model-GGUF" / "blobs"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)


def test_the_result_is_an_ordinary_cache_entry(hub: Hub, cache: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    (file,) = fetch(listed(hub, cache), terms=terms(hub, cache))
    assert is_right(file)
    assert file.path is not None and file.path.is_symlink()
    assert not parts(cache)
    (repo,) = scan_cache_dir(cache).repos
    assert (repo.repo_id, repo.size_on_disk, repo.nb_files) == (REPO, SIZE, 1)
    assert set(repo.refs) == {"main"}
    asked = len(hub.requests)
    offline = hf_hub_download(REPO, NAME, cache_dir=cache, local_files_only=True)
    assert Path(offline) == file.path
    assert len(hub.requests) == asked


def test_what_is_here_is_not_asked_for_again(hub: Hub, cache: Path) -> None:
    files = listed(hub, cache)
    first = fetch(files, terms=terms(hub, cache))
    assert listed(hub, cache) == first
    hub.forget()
    assert fetch(first, terms=terms(hub, cache)) == first
    assert fetch(files, terms=terms(hub, cache)) == first
    assert not hub.requests


def test_a_new_commit_with_the_same_file_only_links_it(hub: Hub, cache: Path) -> None:
    old = fetch(listed(hub, cache), terms=terms(hub, cache))
    commit = hub.push(REPO, {"README.md": b"new"})
    hub.forget()
    new = fetch([file for file in listed(hub, cache) if file.name == NAME], terms=terms(hub, cache))
    assert hub.bytes_sent() == 0
    assert new[0].revision == commit != old[0].revision
    assert len(blobs(cache)) == 1
    assert (cache / "models--org--model-GGUF" / "refs" / "main").read_text() == commit


def test_progress_goes_up_to_the_whole(hub: Hub, cache: Path) -> None:
    hub.order(Fault("slow", rate=4 * MB))
    seen: list[Progress] = []
    fetch(listed(hub, cache), progress=seen.append, terms=terms(hub, cache))
    done = [step.done for step in seen]
    assert done == sorted(done)
    assert seen[-1] == Progress(NAME, SIZE, SIZE)
    rates = [step.rate for step in seen if step.rate is not None]
    assert rates and MB < rates[-1] < 6 * MB


@pytest.mark.parametrize(
    ("faults", "refetched"),
    [
        ([Fault("cut", after=400_000, times=None)], 0),
        ([Fault("cut", after=0, times=3)], 0),
        ([Fault("reset", after=1_500_000, times=1)], MB),
        ([Fault("reset", after=0, times=3)], 0),
        ([Fault("stall", after=1_000_000, times=1)], 0),
        ([Fault("slow", rate=20 * MB)], 0),
        ([Fault("status", status=429, headers={"Retry-After": "3600"}, times=3)], 0),
        ([Fault("status", status=500, times=3)], 0),
        ([Fault("status", status=503, times=2), Fault("cut", after=100_000, times=2)], 0),
        ([Fault("cut", after=2_000_000), Fault("no-range", times=None)], 2_000_000),
    ],
    ids=lambda value: "+".join(fault.kind for fault in value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("cdn", [False, True])
def test_a_disturbed_download_arrives(
    root: Path, cache: Path, faults: Sequence[Fault], refetched: int, cdn: bool
) -> None:
    with Hub(root, cdn=cdn) as hub:
        hub.order(*(replace(fault, path="/cdn/*" if cdn else "*.gguf", method="GET") for fault in faults))
        notes: list[str] = []
        (file,) = fetch(listed(hub, cache), note=notes.append, terms=terms(hub, cache))
        assert is_right(file)
        assert hub.bytes_sent("*.gguf") <= SIZE + refetched
        assert all(note.isprintable() for note in notes)
        assert bool(notes) == (faults[0].kind != "slow")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("status", status=401), "hf auth login"),
        (Fault("status", status=403, message="\x1b[2Jgo away"), r"forbids access to org/model-GGUF \(403"),
        (Fault("status", status=404), r"\(404\)"),
        (Fault("status", status=429, headers={"Retry-After": "5"}), r"\(429\)"),
        (Fault("status", status=500), r"\(500\)"),
        (Fault("status", status=416), r"\(416\)"),
        (Fault("gated"), "Accept its licence at http.*/org/model-GGUF, then run `hf auth login`"),
        (Fault("cut", after=0), "broke off"),
        (Fault("reset", after=0), "broke off"),
        (Fault("stall", after=0), "went silent"),
        (Fault("flip", after=1_234_567), "arrived damaged"),
    ],
    ids=lambda value: f"{value.kind}{value.status}" if isinstance(value, Fault) else "",
)
def test_a_download_that_fails_says_why_and_leaves_nothing_to_be_used(
    hub: Hub, cache: Path, fault: Fault, sentence: str
) -> None:
    files = listed(hub, cache)
    hub.order(replace(fault, path="*.gguf", times=None))
    with pytest.raises(DownloadError, match=sentence) as caught:
        fetch(files, terms=terms(hub, cache))
    assert caught.value.exit_code == ExitCode.DOWNLOAD
    assert str(caught.value).isprintable()
    assert len(hub.seen("*.gguf", "GET")) <= QUICK.tries
    assert not blobs(cache)
    assert not list(cache.rglob("snapshots/*"))
    hub.forget()
    assert is_right(fetch(files, terms=terms(hub, cache))[0])


def test_a_damaged_file_is_removed_and_comes_anew(hub: Hub, cache: Path) -> None:
    hub.order(Fault("flip", after=SIZE - 1))
    with pytest.raises(DownloadError, match="removed; run the command again"):
        fetch(listed(hub, cache), terms=terms(hub, cache))
    assert not parts(cache) and not blobs(cache)


def test_a_kept_part_that_went_bad_is_found_out(hub: Hub, cache: Path) -> None:
    files = listed(hub, cache)
    plant(cache, f"{files[0].sha256}.localrun.part", bytes(MB))
    with pytest.raises(DownloadError, match="arrived damaged"):
        fetch(files, terms=terms(hub, cache))
    assert hub.bytes_sent("*.gguf") == SIZE - MB
    assert not parts(cache) and not blobs(cache)


@pytest.mark.parametrize("size", [SIZE, SIZE + 1, SIZE - 1])
def test_a_part_of_any_size_is_taken_up(hub: Hub, cache: Path, root: Path, size: int) -> None:
    files = listed(hub, cache)
    content = (root / REPO / NAME).read_bytes() + b"x"
    plant(cache, f"{files[0].sha256}.localrun.part", content[:size])
    assert is_right(fetch(files, terms=terms(hub, cache))[0])
    assert hub.bytes_sent("*.gguf") == (SIZE if size > SIZE else SIZE - size)


def test_a_blob_of_the_wrong_size_is_replaced(hub: Hub, cache: Path) -> None:
    files = listed(hub, cache)
    plant(cache, str(files[0].sha256), b"short")
    assert is_right(fetch(files, terms=terms(hub, cache))[0])


def test_a_file_that_is_not_as_listed_is_refused(hub: Hub, cache: Path) -> None:
    file = listed(hub, cache)[0]
    with pytest.raises(DownloadError, match="3000000 bytes on the Hub, but 4000000"):
        fetch([replace(file, bytes=4_000_000)], terms=terms(hub, cache))


def test_an_empty_file_and_one_in_a_folder(root: Path, cache: Path) -> None:
    (root / REPO / "UD-Q2_K_XL").mkdir()
    (root / REPO / "UD-Q2_K_XL" / "model.gguf").write_bytes(b"")
    with Hub(root) as hub:
        assert all(is_right(file) for file in fetch(listed(hub, cache), terms=terms(hub, cache)))


def test_a_commit_in_the_middle_does_not_mix_in(hub: Hub, cache: Path) -> None:
    files = listed(hub, cache)
    hub.order(Fault("cut", after=MB, path="*.gguf", times=2))

    def push(step: Progress) -> None:
        if len(hub.seen("*.gguf")) == 1:
            hub.push(REPO, {NAME: b"another model"})

    (file,) = fetch(files, progress=push, terms=terms(hub, cache))
    assert is_right(file)
    assert file.bytes == SIZE
    assert listed(hub, cache)[0].bytes == len(b"another model")


def test_shards_come_in_parallel(root: Path, cache: Path) -> None:
    for index in range(1, 6):
        name = f"big-0000{index}-of-00005.gguf"
        (root / REPO / name).write_bytes(random.Random(index).randbytes(100_000))
    with Hub(root) as hub:
        files = [file for file in listed(hub, cache) if file.name.startswith("big")]
        hub.order(Fault("stall", after=50_000, path="*big-00001*"))
        finished: list[str] = []

        def note_end(step: Progress) -> None:
            if step.done == step.total and step.file not in finished:
                finished.append(step.file)

        got = fetch(files, progress=note_end, terms=terms(hub, cache))
        assert [file.name for file in got] == [file.name for file in files]
        assert all(is_right(file) for file in got)
        assert finished[-1] == files[0].name, "the others did not wait for the one that hung"


def test_one_failure_ends_the_others_and_they_go_on_next_time(root: Path, cache: Path) -> None:
    (root / REPO / "other.gguf").write_bytes(random.Random(2).randbytes(SIZE))
    with Hub(root) as hub:
        files = listed(hub, cache)
        hub.order(Fault("slow", rate=MB, path="*other.gguf"), Fault("status", status=403, path=f"*{NAME}"))
        with pytest.raises(DownloadError, match="403"):
            fetch(files, terms=terms(hub, cache))
        assert all(is_right(file) for file in fetch(files, terms=terms(hub, cache)))


def test_a_stop_is_obeyed_at_once_and_keeps_what_came(hub: Hub, cache: Path) -> None:
    files, stop = listed(hub, cache), threading.Event()
    hub.order(Fault("slow", rate=4 * MB, path="*.gguf"))
    kept = 0

    def stop_later(step: Progress) -> None:
        nonlocal kept
        if step.done > MB:
            kept = step.done
            stop.set()

    with pytest.raises(Stopped, match="kept"):
        fetch(files, progress=stop_later, stop=stop, terms=terms(hub, cache))
    assert kept < SIZE
    sent = hub.bytes_sent("*.gguf")
    assert is_right(fetch(files, terms=terms(hub, cache))[0])
    start = hub.seen("*.gguf")[-1].range
    assert start is not None and int(start.removeprefix("bytes=").rstrip("-")) > sent - MB


def test_a_stop_ends_a_wait_and_a_silence(hub: Hub, cache: Path) -> None:
    patience = Patience(first_wait=600, longest_wait=600, timeout=600)
    for fault in (Fault("status", status=503), Fault("stall", after=0)):
        stop, fresh = threading.Event(), cache / fault.kind
        files = listed(hub, fresh)
        hub.order(replace(fault, path="*.gguf"))
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        with pytest.raises(Stopped):
            fetch(files, stop=stop, terms=replace(terms(hub, fresh), patience=patience))
        joined(timer)


def test_a_long_silence_is_not_left_without_a_word(hub: Hub, cache: Path) -> None:
    hub.order(Fault("stall", after=MB, path="*.gguf"))
    notes: list[str] = []
    fetch(listed(hub, cache), note=notes.append, terms=replace(terms(hub, cache), quiet=0.1))
    assert notes[0] == "Nothing has come for a minute; still waiting."
    assert any("went silent; trying again" in note for note in notes)


def test_the_token_goes_to_the_hub_and_not_to_the_other_host(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / REPO / ".hub.json").write_text('{"gated": "manual"}')
    with Hub(root, cdn=True) as hub:
        files = listed(hub, cache)
        with pytest.raises(DownloadError, match="gated"):
            fetch(files, terms=terms(hub, cache))
        monkeypatch.setenv("HF_TOKEN", GRANTED_TOKEN)
        assert is_right(fetch(files, terms=terms(hub, cache))[0])
        assert hub.seen("*/resolve/*")[-1].authorized
        assert not any(request.authorized for request in hub.seen("/cdn/*"))


def test_a_disk_without_room_is_seen_before_the_first_byte(hub: Hub, cache: Path) -> None:
    free = shutil.disk_usage(cache.parent).free
    files = listed(hub, cache)
    with pytest.raises(DownloadError, match=r"too full: .* GB to fetch, .* GB free") as caught:
        fetch(files, terms=replace(terms(hub, cache), reserve=free))
    assert caught.value.exit_code == ExitCode.DOWNLOAD
    huge = replace(files[0], bytes=10**18)
    with pytest.raises(DownloadError, match="too full"):
        fetch([huge], terms=terms(hub, cache))
    assert not hub.seen("*.gguf")


def test_what_is_on_no_hub_cannot_be_fetched(cache: Path) -> None:
    with pytest.raises(DownloadError, match="Give it as a path"):
        fetch([WeightFile("a.gguf", 1)], terms=Conditions(cache=cache))
    with pytest.raises(DownloadError, match="not a file of the Hub"):
        fetch([WeightFile("../a.gguf", 1, repo="a/b", revision="c", sha256="d")], terms=Conditions(cache=cache))


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DownloadError, match="cache cannot be written"):
        fetch(listed(hub, tmp_path / "file"), terms=terms(hub, tmp_path / "file"))


def test_the_largest_files_go_through_huggingface_hub_and_are_checked(hub: Hub, cache: Path) -> None:
    through = replace(terms(hub, cache), plain_limit=SIZE - 1)
    notes: list[str] = []
    steps: list[Progress] = []
    hub.order(Fault("flip", after=5, path="*.gguf"))
    with pytest.raises(DownloadError, match="arrived damaged"):
        fetch(listed(hub, cache), terms=through)
    assert not blobs(cache) and not list(cache.rglob("snapshots/*"))
    hub.order(Fault("reset", after=MB, path="*.gguf"))
    (file,) = fetch(listed(hub, cache), progress=steps.append, note=notes.append, terms=through)
    assert is_right(file)
    assert notes[0] == f"{NAME} comes through huggingface-hub itself: if it breaks off, it starts afresh."
    assert "broke off; trying again" in notes[1]
    assert steps[-1].done == SIZE
    assert blobs(cache) == [cache / "models--org--model-GGUF" / "blobs" / str(file.sha256)]
    assert (cache / "models--org--model-GGUF" / "refs" / "main").exists()


def test_a_file_that_only_xet_serves_goes_through_huggingface_hub_and_is_checked(hub: Hub, cache: Path) -> None:
    hub.order(Fault("status", path="*.gguf", method="GET", status=403, headers={"X-Xet-Hash": "ab" * 32}))
    notes: list[str] = []
    (file,) = fetch(listed(hub, cache), note=notes.append, terms=terms(hub, cache))
    assert is_right(file)
    assert notes == [f"{NAME} comes through huggingface-hub itself: if it breaks off, it starts afresh."]


def test_a_plain_refusal_is_no_reason_to_try_xet(hub: Hub, cache: Path) -> None:
    hub.order(Fault("status", path="*.gguf", method="GET", status=403, times=None))
    with pytest.raises(DownloadError):
        fetch(listed(hub, cache), terms=terms(hub, cache))
    assert all(request.method == "GET" for request in hub.seen("*.gguf"))


def test_a_large_file_that_waits_for_its_check_is_not_fetched_again(hub: Hub, cache: Path, root: Path) -> None:
    files = listed(hub, cache)
    plant(cache, f"{files[0].sha256}.localrun.part", (root / REPO / NAME).read_bytes())
    (file,) = fetch(files, terms=replace(terms(hub, cache), plain_limit=SIZE - 1))
    assert is_right(file)
    assert not hub.seen("*.gguf")


def test_a_text_file_without_a_digest_comes_too(root: Path, cache: Path) -> None:
    (root / REPO / "README.md").write_text("about the model")
    with Hub(root) as hub:
        files = [file for file in listed(hub, cache) if file.name == "README.md"]
        (readme,) = fetch(files, terms=terms(hub, cache))
        assert readme.path is not None and readme.path.read_text() == "about the model"


def test_a_file_over_the_limit_that_no_protocol_carries_is_one_sentence(root: Path, cache: Path) -> None:
    with (root / REPO / "huge.gguf").open("wb") as file:
        file.truncate(51 * 10**9)
    with Hub(root) as hub:
        huge = [file for file in listed(hub, cache) if file.name == "huge.gguf"]
        if shutil.disk_usage(cache.parent).free < huge[0].bytes:
            pytest.skip("this disk has no room for 51 GB, so the fetch ends earlier")
        with pytest.raises(DownloadError, match="too large"):
            fetch(huge, terms=terms(hub, cache))
        assert not hub.bytes_sent("*.gguf")


# Processes of their own.


def start_in_fork_server() -> ForkServerContext:
    """A server whose children have the imports behind them, so that twenty of them cost little."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["huggingface_hub.hf_api", "huggingface_hub.file_download", __name__])
    return context


def run_ours(endpoint: str, home: Path, cache: Path) -> None:
    with loopback_client(home):
        listing = list_repo(REPO, endpoint=endpoint, cache=cache)
        patience = replace(QUICK, timeout=20.0)
        fetch(listing.files, terms=Conditions(endpoint=endpoint, cache=cache, reserve=0, patience=patience))


def run_theirs(endpoint: str, home: Path, cache: Path) -> None:
    from huggingface_hub import hf_hub_download

    with loopback_client(home):
        hf_hub_download(REPO, NAME, endpoint=endpoint, cache_dir=cache)


@pytest.fixture
def launch(hub: Hub, tmp_path: Path, cache: Path) -> Iterator["Launch"]:
    launch = Launch(start_in_fork_server(), hub, tmp_path / "home", cache)
    yield launch
    for process in launch.started:
        process.kill()
        joined(process)
        process.close()


class Launch:
    def __init__(self, context: ForkServerContext, hub: Hub, home: Path, cache: Path) -> None:
        self._context = context
        self._arguments = (hub.endpoint, home, cache)
        self.started: list[ForkServerProcess] = []

    def ours(self) -> ForkServerProcess:
        return self._start(self._context.Process(target=run_ours, args=self._arguments))

    def theirs(self) -> ForkServerProcess:
        return self._start(self._context.Process(target=run_theirs, args=self._arguments))

    def _start(self, process: ForkServerProcess) -> ForkServerProcess:
        process.start()
        self.started.append(process)
        return process


def test_killed_twenty_times_it_arrives_with_at_most_a_megabyte_twice(hub: Hub, cache: Path, launch: Launch) -> None:
    chance = random.Random(20)
    hub.push(REPO, {NAME: chance.randbytes(12 * MB)})
    hub.order(Fault("slow", rate=20 * MB, path="*.gguf", times=None))
    for _ in range(20):
        before = len(hub.seen("*.gguf"))  # what the last one's connection still swallows is not this one's
        process = launch.ours()
        assert hub.wait_sent(chance.randrange(1, 400_000), "*.gguf", after=before)
        process.kill()
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
    process = launch.ours()
    process.join(20)
    assert process.exitcode == 0
    assert is_right(listed(hub, cache)[0])
    requests = hub.seen("*.gguf", "GET")
    assert len(requests) == 21
    starts = [int((request.range or "bytes=0-").removeprefix("bytes=").rstrip("-")) for request in requests]
    ends = [start + request.sent for start, request in zip(starts, requests, strict=True)]
    assert all(end - start <= MB for end, start in zip(ends, starts[1:], strict=False))
    assert starts[-1] > MB


def test_two_processes_share_one_download(hub: Hub, cache: Path, launch: Launch) -> None:
    hub.order(Fault("slow", rate=4 * MB, path="*.gguf"))
    files = listed(hub, cache)
    first, second = launch.ours(), launch.ours()
    assert hub.wait_sent(1, "*.gguf")
    notes: list[str] = []
    steps: list[Progress] = []
    (file,) = fetch(files, progress=steps.append, note=notes.append, terms=terms(hub, cache))
    for process in (first, second):
        process.join(20)
        assert process.exitcode == 0
    assert hub.bytes_sent("*.gguf") == SIZE
    assert is_right(file)
    assert notes == [f"Another program is fetching {NAME}; waiting for it."]
    assert any(0 < step.done < SIZE for step in steps), "the other's progress is shown"


def test_another_programs_download_is_waited_for(hub: Hub, cache: Path, launch: Launch) -> None:
    files = listed(hub, cache)
    hub.order(Fault("slow", rate=4 * MB, path="*.gguf"))
    theirs = launch.theirs()
    assert hub.wait_sent(1, "*.gguf")
    notes: list[str] = []
    (file,) = fetch(files, note=notes.append, terms=terms(hub, cache))
    theirs.join(20)
    assert theirs.exitcode == 0
    assert notes == [f"Another program is fetching {NAME}; waiting for it."]
    assert is_right(file)
    assert hub.bytes_sent("*.gguf") == SIZE


def test_their_download_waits_for_ours(hub: Hub, cache: Path, launch: Launch) -> None:
    hub.order(Fault("slow", rate=4 * MB, path="*.gguf"))
    ours = launch.ours()
    assert hub.wait_sent(1, "*.gguf")
    theirs = launch.theirs()
    for process in (ours, theirs):
        process.join(20)
        assert process.exitcode == 0
    assert hub.bytes_sent("*.gguf") == SIZE


FULL_DISK = """
    import shutil, subprocess, sys
    from contextlib import suppress
    from pathlib import Path
    from models.errors import DownloadError
    from models.hub.fetch import fetch
    from models.hub.transfer import Conditions
    from models.hub.listing import list_repo

    disk, repo = Path(sys.argv[1]), sys.argv[2]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
    files = list_repo(repo, cache=disk / "hub").files
    filler = disk / "filler"
    terms = Conditions(cache=disk / "hub", reserve=0)

    def fill(step):  # somebody else takes the room while we fetch
        if not filler.exists():
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while shutil.disk_usage(disk).free > 1 << 19:
                    file.write(bytes(1 << 18))

    try:
        fetch(files, progress=fill, terms=terms)
    except DownloadError as error:
        print(error)
    (part,) = disk.rglob("*.part")
    print(0 < part.stat().st_size < files[0].bytes, *disk.rglob("snapshots/*/*"))
    filler.unlink()
    print(fetch(files, terms=terms)[0].path.stat().st_size)
"""


def test_a_disk_that_fills_up_on_the_way(hub: Hub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], timeout=COMMAND_S, check=False).returncode:
        pytest.skip("no mount of one's own here (unshare): a small disk cannot be made")
    hub.order(Fault("slow", rate=4 * MB, path="*.gguf"))
    result = subprocess.run(
        [*alone, sys.executable, "-c", textwrap.dedent(FULL_DISK), disk, REPO],
        env={**os.environ, **environment(tmp_path / "home", hub.endpoint), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = result.stdout.splitlines()
    assert result.returncode == 0, result.stderr
    assert said[0] == "The disk is full. Free some space and run the command again; what was fetched is kept."
    assert said[1:] == ["True", str(SIZE)]
    assert hub.bytes_sent("*.gguf") < 2 * SIZE
