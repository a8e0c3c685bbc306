import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BadFile, DownloadError
from models.files import group
from models.headers.gguf import Header
from models.headers.gguf_bytes import STRING
from models.hub.http import Patience
from models.hub.listing import list_repo
from models.hub.ranges import PATIENCE
from models.hub.remote import Reading, read_headers
from models.stores.header_files import read_header
from models.weights import WeightFile, WeightSet
from scripts.synthetic import headers
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import Entry
from scripts.synthetic.mixes import QUANTS as ALL_QUANTS
from scripts.synthetic.typed import U32, Typed
from tests.support.hub import GRANTED_TOKEN, Fault, Hub

REPO = "org/phi"
QUICK = Patience(tries=4, first_wait=0.01, longest_wait=0.05, timeout=2.0)
QUANTS = ("Q2_K", "Q4_K_M", "Q6_K", "Q8_0", "F16")
HEADER = 720_000  # bytes of a header with Phi-3's tokenizer, of which 13,000 are not the tokenizer
WINDOWS = 30_000  # at most, of each file whose tokenizer is known


@pytest.fixture(autouse=True)
def no_question_about_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    for quant in QUANTS:
        headers.make("phi-3-mini", quant, tmp_path / "hub" / REPO)
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def folder(hub: Hub) -> Path:
    return hub.store.root / REPO


def path_of(hub: Hub, quant: str) -> Path:
    (path,) = folder(hub).glob(f"*-{quant}.gguf")
    return path


def sets_of(hub: Hub, repo: str = REPO) -> tuple[WeightSet, ...]:
    listing = list_repo(repo, endpoint=hub.endpoint, cache=hub.store.root / "nothing-here")
    return group(listing.files).sets


def read(hub: Hub, cache: Path, sets: tuple[WeightSet, ...] | None = None) -> Reading:
    hub.forget() if sets is None else None
    return read_headers(sets or sets_of(hub), cache, endpoint=hub.endpoint, patience=QUICK)


def assert_true(reading: Reading, root: Path) -> None:
    """Each header is what a parser finds in the file itself."""
    for one in reading.sets:
        for file, header in zip(one.weights.files, one.headers, strict=True):
            assert header == read_header(root / file.name), file.name


def test_one_header_is_read_whole_and_its_siblings_in_windows(hub: Hub, cache: Path) -> None:
    reading = read(hub, cache)
    assert reading.notes == ()
    assert len(reading.sets) == len(QUANTS)
    assert_true(reading, folder(hub))
    assert reading.fetched_bytes == hub.bytes_sent("/org/*/resolve/*")
    assert HEADER < reading.fetched_bytes < HEADER + len(QUANTS) * WINDOWS
    assert all(request.range is not None for request in hub.seen("/org/*/resolve/*"))


def test_what_was_read_is_not_asked_for_again(hub: Hub, cache: Path) -> None:
    first = read(hub, cache)
    second = read(hub, cache)
    assert second.sets == first.sets
    assert second.fetched_bytes == 0 and not hub.seen("/org/*/resolve/*")


def test_a_known_tokenizer_is_never_fetched_again(hub: Hub, cache: Path, tmp_path: Path) -> None:
    read(hub, cache)
    other = tmp_path / "hub/org/tuned"
    kv = headers.metadata(MODELS["phi-3-mini"], "Q5_K_M")
    kv["general.name"] = Typed(STRING, "a finetune of it")
    table = headers.entries(MODELS["phi-3-mini"], "Q5_K_M")
    other.mkdir()
    headers.write(other / "tuned-Q5_K_M.gguf", kv, table)
    reading = read(hub, cache, sets_of(hub, "org/tuned"))
    assert_true(reading, other)
    assert reading.fetched_bytes < WINDOWS


def test_twenty_quantizations_of_a_70b_cost_megabytes_not_gigabytes(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "hub/org/large"
    for quant in ALL_QUANTS:
        headers.make("llama-3.3-70b", quant, root)
    with Hub(tmp_path / "hub", cdn=True) as hub:
        sets = sets_of(hub, "org/large")
        assert len(sets) == 20
        reading = read(hub, cache, sets)
        assert_true(reading, root)
        assert reading.fetched_bytes <= 12e6
        for entry in (cache / "headers").iterdir():
            entry.unlink()
        again = read(hub, cache, sets)
        assert again.sets == reading.sets
        assert again.fetched_bytes <= 2e6


Change = Callable[[dict[str, Typed], list[Entry]], tuple[dict[str, Typed], list[Entry]]]


def with_key(key: str, value: Typed, *, first: bool = False) -> Change:
    return lambda kv, table: ({key: value, **kv} if first else {**kv, key: value}, table)


def with_tokens(edit: Callable[[list[str]], list[str]]) -> Change:
    def change(kv: dict[str, Typed], table: list[Entry]) -> tuple[dict[str, Typed], list[Entry]]:
        tokens = [str(token) for token in kv["tokenizer.ggml.tokens"].value]  # type: ignore[union-attr]
        return {**kv, "tokenizer.ggml.tokens": Typed(STRING, edit(tokens))}, table

    return change


# A sibling that differs in this, and whether two windows still do.
SIBLINGS: dict[str, tuple[Change, bool]] = {
    "another setting": (with_key("phi3.rope.freq_base", Typed(6, 5e5)), True),
    "an importance matrix": (with_key("quantize.imatrix.file", Typed(STRING, "x" * 300)), True),
    "a few bytes more in front": (with_key("general.description", Typed(STRING, "y" * 300), first=True), True),
    "a long description in front": (with_key("general.description", Typed(STRING, "y" * 20_000), first=True), True),
    "a long template behind": (with_key("tokenizer.chat_template", Typed(STRING, "z" * 200_000)), True),
    "tensors in another order": (lambda kv, table: (kv, table[::-1]), True),
    "a tensor more": (lambda kv, table: (kv, [*table, Entry("extra.weight", (32,), 0)]), True),
    "a key of odd letters": (with_key("schlüssel", Typed(U32, 1)), False),
    "one token longer": (with_tokens(lambda tokens: [tokens[0] + "x" * 40, *tokens[1:]]), False),
    "one token longer by a byte": (with_tokens(lambda tokens: [tokens[0] + "x", *tokens[1:]]), False),
    "one token less": (with_tokens(lambda tokens: tokens[1:]), False),
    "no tokenizer at all": (
        lambda kv, table: ({key: value for key, value in kv.items() if "tokenizer" not in key}, table),
        True,
    ),
}


@pytest.mark.parametrize(("change", "is_cheap"), SIBLINGS.values(), ids=SIBLINGS.keys())
def test_odd_siblings(tmp_path: Path, cache: Path, change: Change, is_cheap: bool) -> None:
    root = tmp_path / "hub" / REPO
    headers.make("phi-3-mini", "Q8_0", root)  # the largest file is asked for first
    geometry = MODELS["phi-3-mini"]
    table = list(headers.entries(geometry, "Q4_K_M"))
    headers.write(root / "odd-Q4_K_M.gguf", *change(headers.metadata(geometry, "Q4_K_M"), table))
    with Hub(tmp_path / "hub") as hub:
        sets = sets_of(hub)
        read(hub, cache, sets[:1])
        reading = read(hub, cache, sets[1:])
    assert reading.notes == ()
    assert_true(reading, root)
    assert (reading.fetched_bytes < 300_000) == is_cheap


def test_windows_never_tell_another_story_than_the_whole_file(tmp_path: Path, cache: Path) -> None:
    """Whatever is changed outside of the tokenizer: the same header as from the whole file, or refused as well."""
    root = tmp_path / "hub" / REPO
    headers.make("phi-3-mini", "Q8_0", root)
    (path,) = headers.make("phi-3-mini", "Q4_K_M", root)
    good = read_header(path)
    span = good.tokenizer()
    assert span is not None
    with path.open("rb") as file:
        original = file.read(good.table_end)
    places = st.one_of(st.integers(0, span.start - 1), st.integers(span.end, good.table_end - 1))
    with Hub(tmp_path / "hub") as hub:
        sets = sets_of(hub)
        read(hub, cache, sets[:1])
        odd = WeightSet("", (replace(sets[1].files[0], sha256=None),))  # without a digest it is never cached

        @settings(max_examples=60, derandomize=True)
        @given(st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=4))
        def check(changes: dict[int, int]) -> None:
            for at, byte in changes.items():
                overwrite(path, at, bytes([byte]))
            try:
                assert outcome(lambda: read(hub, cache, (odd,)).sets[0].headers[0]) == outcome(
                    lambda: read_header(path)
                )
            finally:
                overwrite(path, 0, original)

        check()


def outcome(action: Callable[[], Header]) -> Header | None:
    try:
        return action()
    except BadFile:
        return None


def test_bytes_behind_the_tensors_cost_a_full_read_but_no_answer(hub: Hub, cache: Path) -> None:
    with path_of(hub, "Q4_K_M").open("ab") as file:
        file.write(b"x" * 100)
    reading = read(hub, cache)
    assert reading.notes == ()
    assert_true(reading, folder(hub))
    # One whole header if the odd file happens to be the one that is read first, else two.
    assert HEADER < reading.fetched_bytes < 2 * HEADER + len(QUANTS) * WINDOWS


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "four bytes": (lambda path: path.write_bytes(b"GGUF"), "the file ends"),
    "a web page": (lambda path: path.write_bytes(b"<html>" * 100), "not a GGUF file"),
    "an unknown version": (lambda path: overwrite(path, 4, b"\x09"), "version 9"),
    "a cut file": (lambda path: os.truncate(path, 10 << 20), "the file is cut"),
    "a cut header": (lambda path: os.truncate(path, 9000), "past byte 9000, where the file ends"),
    "a broken type": (lambda path: overwrite(path, 52, b"\xff"), "has type 255"),
    "a shard of something": (
        lambda path: headers.write(
            path, {"general.architecture": Typed(STRING, "phi3"), "split.count": Typed(2, 3)}, []
        ),
        "shard 0 of 3",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("quant", ["F16", "Q2_K"])  # the first and the last to be asked for
def test_a_damaged_file_spoils_no_other(
    hub: Hub, cache: Path, quant: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(path := path_of(hub, quant))
    reading = read(hub, cache)
    assert len(reading.sets) == len(QUANTS) - 1
    (note,) = reading.notes
    assert note.startswith(f"Left out: {path.name}: ")
    assert said in note
    assert reading.fetched_bytes < 2 * HEADER + len(QUANTS) * WINDOWS


def test_only_damaged_files_are_an_error(hub: Hub, cache: Path) -> None:
    for path in folder(hub).iterdir():
        path.write_bytes(b"<html>" * 100)
    with pytest.raises(BadFile, match="not a GGUF file"):
        read(hub, cache)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", path="*.gguf", status=500, times=2),
        Fault("status", path="*.gguf", status=429, headers={"Retry-After": "3600"}),
        Fault("cut", path="*Q8_0*", after=5000, times=2),
        Fault("reset", path="*.gguf", after=100, times=3),
        Fault("cut", path="*.gguf", after=0),
        Fault("flip", path="*.gguf", after=700_000, times=1),  # in the tokenizer: harmless
        Fault("flip", path="*Q2_K*", after=715_000, times=1),  # in the table, of a file that is read in windows
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after}",
)
def test_what_passes_is_outlasted(hub: Hub, cache: Path, fault: Fault) -> None:
    sets = sets_of(hub)
    hub.order(fault)
    reading = read(hub, cache, sets)
    assert reading.notes == ()
    assert len(reading.sets) == len(QUANTS)
    assert_true(reading, folder(hub))


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_file_that_stays_away_is_left_out(hub: Hub, cache: Path, status: int) -> None:
    sets = sets_of(hub)
    hub.order(Fault("status", path="*F16*", status=status, times=None))
    reading = read(hub, cache, sets)
    assert len(reading.sets) == len(QUANTS) - 1
    (note,) = reading.notes
    assert "F16" in note
    assert str(status) in note


def test_silence_ends(hub: Hub, cache: Path) -> None:
    sets = sets_of(hub)
    hub.order(Fault("stall", path="*.gguf", after=100, times=None))
    notes: list[str] = []
    with pytest.raises(DownloadError, match="silent"):
        read_headers(
            sets, cache, endpoint=hub.endpoint, patience=replace(QUICK, tries=2, timeout=0.2), note=notes.append
        )
    assert notes
    assert len(hub.seen("/org/*/resolve/*")) < 3 * len(sets)  # the later files are not tried again and again


def test_an_interrupt_ends_every_thread(hub: Hub, cache: Path) -> None:
    sets = sets_of(hub)
    hub.order(Fault("status", path="*.gguf", status=503, times=None))

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_headers(sets, cache, endpoint=hub.endpoint, patience=replace(QUICK, first_wait=60), note=interrupt)
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]
    assert len(hub.seen("/org/*/resolve/*")) <= len(sets)


def test_a_gated_repository_is_one_sentence(hub: Hub, cache: Path) -> None:
    sets = sets_of(hub)
    hub.order(Fault("gated", path="*.gguf", times=None))
    with pytest.raises(DownloadError, match="Accept its licence"):
        read(hub, cache, sets)


def test_a_server_without_ranges_is_hung_up_on(hub: Hub, cache: Path) -> None:
    sets = sets_of(hub)[-1:]
    hub.order(Fault("no-range", path="*.gguf", times=None))
    reading = read(hub, cache, sets)
    assert_true(reading, folder(hub))
    assert sets[0].bytes > 1e9
    assert hub.bytes_sent("*.gguf") < 8 * HEADER  # what was on its way counts, too


def test_the_token_goes_to_the_hub_and_not_to_where_it_points(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", GRANTED_TOKEN)
    hub.cdn = True
    assert_true(read(hub, cache), folder(hub))
    assert all(request.authorized for request in hub.seen("/org/*/resolve/*"))
    assert hub.seen("/cdn/*")
    assert not any(request.authorized for request in hub.seen("/cdn/*"))


def test_a_new_commit_in_the_middle_changes_nothing(hub: Hub, cache: Path) -> None:
    sets = sets_of(hub)
    old = {path.name: read_header(path) for path in folder(hub).iterdir()}
    hub.push(REPO, dict.fromkeys(old, b"GGUF changed"))
    reading = read(hub, cache, sets)
    assert reading.notes == ()
    assert {one.weights.files[0].name: one.headers[0] for one in reading.sets} == old


def test_a_listing_that_lies_about_a_size_is_not_believed(hub: Hub, cache: Path) -> None:
    (*others, last) = sets_of(hub)
    liar = WeightSet(last.quant, (replace(last.files[0], bytes=last.bytes - 32),))
    reading = read(hub, cache, (*others, liar))
    assert len(reading.sets) == len(QUANTS) - 1
    assert "the Hub lists" in reading.notes[0]


def test_two_tokenizers_in_one_repository(hub: Hub, cache: Path) -> None:
    geometry = MODELS["phi-3-mini"]
    for quant in ("Q4_0", "Q5_K_M"):
        kv = with_tokens(lambda tokens: [*tokens, "<|more|>"])(headers.metadata(geometry, quant), [])[0]
        headers.write(folder(hub) / f"longer-{quant}.gguf", kv, headers.entries(geometry, quant))
    reading = read(hub, cache)
    assert reading.notes == ()
    assert len(reading.sets) == len(QUANTS) + 2
    assert_true(reading, folder(hub))
    assert reading.fetched_bytes < 2 * HEADER + (len(QUANTS) + 2) * WINDOWS


def test_shards_are_one_candidate_with_every_table(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "hub" / REPO
    headers.make("phi-3-mini", "Q8_0", root, shards=3)
    headers.make("phi-3-mini", "Q4_K_M", root, shards=2)
    with Hub(tmp_path / "hub") as hub:
        reading = read(hub, cache)
    assert [len(one.headers) for one in reading.sets] == [3, 2]
    assert_true(reading, root)
    assert reading.fetched_bytes < HEADER + 5 * 64_000


@pytest.mark.parametrize(
    ("wrong", "by", "said"),
    [(2, 1, "says shard 0 of 3"), (2, 3, "says shard 2 of 3"), (1, 2, "says shard 1 of 3")],
)
def test_shards_that_do_not_belong_together(tmp_path: Path, cache: Path, wrong: int, by: int, said: str) -> None:
    paths = headers.make("phi-3-mini", "Q8_0", tmp_path / "hub" / REPO, shards=3)
    paths[wrong - 1].unlink()
    paths[wrong - 1].hardlink_to(paths[by - 1])
    with Hub(tmp_path / "hub") as hub, pytest.raises(BadFile, match=said):
        read(hub, cache)


def test_shards_of_another_model(tmp_path: Path, cache: Path) -> None:
    paths = headers.make("phi-3-mini", "Q8_0", tmp_path / "hub" / REPO, shards=2)
    strangers = headers.make("granite-3.1-8b", "Q8_0", tmp_path, shards=2, tokenizer="none")
    strangers[1].replace(paths[1])
    with Hub(tmp_path / "hub") as hub, pytest.raises(BadFile, match=r"same tensor|announced"):
        read(hub, cache)


def test_files_that_are_here_are_read_from_disk(hub: Hub, cache: Path) -> None:
    sets = tuple(
        WeightSet(one.quant, tuple(replace(file, path=folder(hub) / file.name) for file in one.files))
        for one in sets_of(hub)
    )
    reading = read(hub, cache, sets)
    assert_true(reading, folder(hub))
    assert reading.fetched_bytes == 0 and not hub.seen("/org/*/resolve/*")


def test_a_local_file_without_a_digest(tmp_path: Path, cache: Path) -> None:
    (path,) = headers.make("phi-3-mini", "Q4_0", tmp_path)
    weights = WeightSet("Q4_0", (WeightFile(path.name, path.stat().st_size, path),))
    for _ in range(2):  # read, then remembered
        assert read_headers([weights], cache).sets[0].headers == (read_header(path),)
    with path.open("r+b") as file:
        file.write(b"BUGG")  # what was written to is read again
    with pytest.raises(BadFile, match="not a GGUF"):
        read_headers([weights], cache)


def test_no_sets_no_headers(cache: Path) -> None:
    assert read_headers([], cache) == Reading((), (), 0)


def test_the_usual_patience_is_bounded() -> None:
    assert PATIENCE.tries * (PATIENCE.timeout + PATIENCE.longest_wait) < 180
