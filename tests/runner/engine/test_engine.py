"""The engine in its child process, on the real SmolLM2."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import BadFile, EngineError, LocalrunError, PromptTooLong, UsageError
from models.headers.shape import shape_of
from models.stores.header_files import read_header
from runner.client.process import EngineProcess
from runner.cost.blocks import blocks_of
from runner.cost.kv import ContextSettings
from runner.cost.tensor_split import caches_on_each, weights_on_each
from runner.types.commands import Devices, Generate, Grammar, Load, Rehearse, StandIns, Unload
from runner.types.generation import Chunk, Finish, Message, Phase, Request
from runner.types.placement import Placement, SplitMode
from runner.types.sampling import Sampling
from tests.support.waiting import joined, thread

GREEDY = Sampling(temperature=0, max_tokens=48)
STORY = Request((Message("user", "Tell a long story."),), sampling=Sampling(temperature=0), ignore_end=True)
CPU_ONLY = Placement(devices=(), gpu_layers=0, layers_total=31, tensor_split=(), ctx=1024, threads=1)


def generate(child: EngineProcess, request: Request) -> Generator[Chunk, None, None]:
    return child.stream(Generate(request))


def answer(child: EngineProcess, *messages: Message, sampling: Sampling = GREEDY) -> tuple[str, Chunk]:
    chunks = list(generate(child, Request(messages, sampling=sampling)))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def ask(text: str) -> Message:
    return Message("user", text)


@pytest.fixture(scope="module")
def engine(child: EngineProcess, smollm2: Path) -> EngineProcess:
    child.ask(Load(str(smollm2), CPU_ONLY))
    return child


def test_it_answers_in_the_models_own_words(engine: EngineProcess) -> None:
    text, last = answer(engine, ask("Name three primary colours."))
    assert "red" in text.lower() and "blue" in text.lower()
    assert last.phase is Phase.DONE
    assert last.completion_tokens > 0 and last.ttft_s is not None and last.decode_tps is not None


def test_greedy_answers_and_seeds_repeat(engine: EngineProcess) -> None:
    question = ask("Tell me about the sea.")
    assert answer(engine, question)[0] == answer(engine, question)[0]
    warm = Sampling(temperature=1.0, seed=7, max_tokens=24)
    first, last = answer(engine, question, sampling=warm)
    assert first == answer(engine, question, sampling=warm)[0]
    assert last.seed == 7
    assert first != answer(engine, question, sampling=Sampling(temperature=1.0, seed=8, max_tokens=24))[0]


def test_the_next_request_prefills_only_what_is_new(engine: EngineProcess) -> None:
    question = ask("What is the capital of France?")
    reply, first = answer(engine, question)
    _, second = answer(engine, question, Message("assistant", reply), ask("And of Italy?"))
    assert second.cached_tokens >= first.prompt_tokens + first.completion_tokens - 2
    assert second.prompt_tokens > second.cached_tokens > 0


def test_reuse_changes_no_word(engine: EngineProcess) -> None:
    history = [ask("Count to five."), Message("assistant", "1 2 3 4 5"), ask("And on to ten?")]
    first, _ = answer(engine, *history)
    again, last = answer(engine, *history)
    fresh = "".join(chunk.text for chunk in generate(engine, Request(tuple(history), sampling=GREEDY, reuse=False)))
    assert first == again == fresh
    assert last.cached_tokens == last.prompt_tokens - 1


def test_max_tokens_and_stop_strings_end_an_answer(engine: EngineProcess) -> None:
    _, cut = answer(engine, ask("Write a story."), sampling=Sampling(temperature=0, max_tokens=5))
    assert (cut.finish, cut.completion_tokens) == (Finish.LENGTH, 5)
    whole, _ = answer(engine, ask("Name three primary colours."))
    word = whole.split()[3]
    text, stopped = answer(engine, ask("Name three primary colours."), sampling=Sampling(temperature=0, stop=(word,)))
    assert (text, stopped.finish, stopped.stopped_by) == (whole[: whole.index(word)], Finish.STOP, word)


def test_a_full_context_ends_an_answer(child: EngineProcess, smollm2: Path) -> None:
    child.ask(Load(str(smollm2), replace(CPU_ONLY, ctx=256)))
    request = Request(raw="one two three four " * 58, sampling=Sampling(temperature=0), ignore_end=True)
    last = list(generate(child, request))[-1]
    assert last.finish is Finish.LENGTH
    assert last.prompt_tokens + last.completion_tokens == 256
    child.ask(Load(str(smollm2), CPU_ONLY))


def test_a_prompt_longer_than_the_context_names_both_numbers(engine: EngineProcess) -> None:
    with pytest.raises(PromptTooLong, match=r"\d{4} tokens; the context holds 1024"):
        answer(engine, ask("word " * 3000))


def test_the_last_words_of_the_assistant_are_continued(engine: EngineProcess) -> None:
    text, _ = answer(engine, ask("What is the capital of France?"), Message("assistant", "The capital of France is"))
    assert text.strip().startswith("Paris")


def test_a_grammar_binds_the_answer(engine: EngineProcess) -> None:
    yes_no = Sampling(temperature=0, grammar='root ::= "yes" | "no"')
    assert answer(engine, ask("Is water wet?"), sampling=yes_no)[0] in ("yes", "no")
    with pytest.raises(UsageError, match="grammar"):
        answer(engine, ask("x"), sampling=Sampling(grammar="root ::= ("))
    gbnf = engine.ask(Grammar('{"type": "integer"}'))
    assert int(answer(engine, ask("How many legs has a dog?"), sampling=Sampling(temperature=0, grammar=gbnf))[0]) >= 0
    gbnf = engine.ask(Grammar('{"properties": {"n": {"type": "integer", "minimum": 7123, "exclusiveMaximum": 7125}}}'))
    said = answer(engine, ask("How many legs has a dog?"), sampling=Sampling(temperature=0, grammar=gbnf))[0]
    assert json.loads(said).get("n", 7123) in (7123, 7124)


@pytest.mark.parametrize("stop", [(), ("blue",)])
def test_logprobs_come_for_every_token_in_its_order(engine: EngineProcess, stop: tuple[str, ...]) -> None:
    asked = Sampling(temperature=0, max_tokens=40, logprobs=3, stop=stop)
    chunks = list(generate(engine, Request((ask("Name three primary colours."),), sampling=asked)))
    told = [one for chunk in chunks for one in chunk.logprobs]
    assert len(told) == chunks[-1].completion_tokens > 3
    assert all(one.drawn == one.top[0] and len(one.top) == 3 for one in told)  # greedy
    assert all(0 >= first.logprob >= second.logprob for first, second, _ in (one.top for one in told))
    said = b"".join(bytes(one.drawn.bytes) for one in told).decode()
    assert said.startswith("".join(chunk.text for chunk in chunks))


def interrupted(engine: EngineProcess, request: Request, when: Phase) -> tuple[Chunk, float]:
    """Stop at the first sign of `when`; the last chunk, and the seconds until it came."""
    asked = 0.0
    for chunk in generate(engine, request):
        last = chunk
        if not asked and chunk.phase is when:
            engine.stop()
            asked = time.monotonic()
    return last, time.monotonic() - asked


@pytest.mark.parametrize("when", [Phase.PREFILL, Phase.DECODE])
def test_stop_ends_an_answer_and_the_next_one_is_right(engine: EngineProcess, when: Phase) -> None:
    story = Request((ask("Write about the sea. " * 120),), sampling=Sampling(temperature=0), ignore_end=True)
    expected = answer(engine, ask("What is the capital of France?"))[0]
    last, seconds = interrupted(engine, story, when)
    assert last.finish is Finish.INTERRUPTED
    assert last.completion_tokens < 200
    assert seconds < 2  # the bar of 0.2 s is a benchmark's, this only shows that it does not run to the end
    assert answer(engine, ask("What is the capital of France?"))[0] == expected


def test_leaving_an_answer_early_stops_it(engine: EngineProcess) -> None:
    chunks = generate(engine, STORY)
    next(chunks)
    chunks.close()
    assert answer(engine, ask("Hi"))[1].finish in (Finish.STOP, Finish.LENGTH)


def bad_files(folder: Path, model: Path) -> dict[str, Path]:
    files: dict[str, bytes] = {"empty": b"", "text": b"hello, this is no model", "magic": b"GGUF"}
    whole = model.read_bytes()
    files["cut"] = whole[:40_000_000]
    files["version"] = whole[:4] + b"\x63\x00\x00\x00" + whole[8:4000]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def test_files_that_are_no_models_are_refused_and_the_child_lives_on(
    child: EngineProcess, smollm2: Path, tmp_path: Path
) -> None:
    for name, path in bad_files(tmp_path, smollm2).items():
        with pytest.raises(BadFile, match="could not load"):
            child.ask(Load(str(path), CPU_ONLY))
        assert child.is_alive(), name
    loaded = child.ask(Load(str(smollm2), CPU_ONLY))
    assert (loaded.ctx, loaded.memory[-1].device) == (1024, "CPU")


def test_a_file_of_the_right_size_without_weights_is_refused(
    child: EngineProcess, smollm2: Path, tmp_path: Path
) -> None:
    hollow = tmp_path / "hollow.gguf"
    with smollm2.open("rb") as source, hollow.open("wb") as target:
        target.write(source.read(1_785_664))
        target.truncate(smollm2.stat().st_size)
    child.ask(Load(str(hollow), CPU_ONLY))
    with pytest.raises(BadFile, match="no weights"):
        answer(child, ask("Hi"))
    child.ask(Load(str(smollm2), CPU_ONLY))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_numbers_are_told(child: EngineProcess, smollm2: Path, tmp_path: Path, value: float) -> None:
    header = read_header(smollm2)
    norm = next(one for one in header.tensors if one.name == "blk.15.ffn_norm.weight")
    broken = tmp_path / "broken.gguf"
    shutil.copy(smollm2, broken)
    with broken.open("r+b") as file:
        file.seek(header.data_start + norm.offset)
        file.write(struct.pack("<f", value))
    child.ask(Load(str(broken), CPU_ONLY))
    for sampling in (GREEDY, Sampling(max_tokens=8), Sampling(max_tokens=8, repeat_penalty=1.1)):
        with pytest.raises(EngineError, match="The model's numbers are broken: behind"):
            answer(child, ask("Hi"), sampling=sampling)
    child.ask(Load(str(smollm2), CPU_ONLY))
    assert answer(child, ask("Hi"))[0]


def test_what_does_not_fit_is_refused_without_dying(child: EngineProcess, smollm2: Path) -> None:
    huge = Placement(devices=(), gpu_layers=0, layers_total=31, tensor_split=(), ctx=20_000_000, threads=1)
    with pytest.raises(EngineError):
        child.ask(Load(str(smollm2), huge))
    assert child.is_alive()
    child.ask(Load(str(smollm2), CPU_ONLY))


def fresh_child(folder: Path, smollm2: Path) -> EngineProcess:
    process = EngineProcess(folder / "engine.log")
    process.ask(Load(str(smollm2), CPU_ONLY))
    return process


@pytest.mark.parametrize(("number", "said"), [(signal.SIGKILL, "was killed"), (signal.SIGABRT, "SIGABRT")])
def test_an_engine_that_dies_is_one_sentence(tmp_path: Path, smollm2: Path, number: int, said: str) -> None:
    process = fresh_child(tmp_path, smollm2)
    text = ""
    with pytest.raises(EngineError, match=said) as caught:
        for chunk in generate(process, Request((ask("Tell a long story."),), sampling=Sampling(temperature=0))):
            text += chunk.text
            if text:
                os.kill(process.pid, number)
    assert text and "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    process.restart()
    process.ask(Load(str(smollm2), CPU_ONLY))
    assert answer(process, ask("Hi"))[0]
    process.close()


def test_the_kernel_would_end_the_engine_before_others(engine: EngineProcess) -> None:
    assert Path(f"/proc/{engine.pid}/oom_score_adj").read_text() == "500\n"


def test_stop_from_another_thread(engine: EngineProcess) -> None:
    chunks = generate(engine, STORY)
    next(chunks)
    stopping = thread(engine.stop)
    assert list(chunks)[-1].finish is Finish.INTERRUPTED
    joined(stopping)


def test_errors_keep_their_kind(engine: EngineProcess) -> None:
    cases: list[tuple[Request, type[LocalrunError]]] = [
        (Request((), raw=""), UsageError),
        (Request((ask("x" * 20000),)), PromptTooLong),
    ]
    for request, kind in cases:
        with pytest.raises(kind):
            engine.ask(Generate(request))


def test_an_unloaded_engine_says_so_and_lives_on(engine: EngineProcess, smollm2: Path) -> None:
    engine.ask(Unload())
    with pytest.raises(EngineError, match="No model is loaded"):
        answer(engine, ask("Hi"))
    engine.ask(Load(str(smollm2), CPU_ONLY))


def test_a_folder_with_our_names_in_it_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runner.py", "models.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('not ours')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "more"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "runner.py").write_text("raise SystemExit('not ours')\n")
    process = EngineProcess(tmp_path / "engine.log")
    assert process.ask(Devices()).devices[-1].id == "CPU"
    process.close()


def test_stand_ins_take_layers_in_a_rehearsal(child: EngineProcess, smollm2: Path) -> None:
    first, second = child.ask(StandIns(2))
    split = Placement(
        devices=(first, second), gpu_layers=31, layers_total=31, tensor_split=(20, 11), ctx=1024, threads=1
    )
    (rehearsed,) = child.ask(Rehearse(str(smollm2), (split,)))
    kv = {row.device: row.kv for row in rehearsed.memory or ()}
    assert kv[first] == 2 * kv[second] > 0
    assert kv["CPU"] == 0


def test_every_layer_split_over_two_devices(smollm2: Path, tmp_path: Path) -> None:
    """Loopback devices really take it: slices of the size that we plan with, and the same answer."""
    with closing(EngineProcess(tmp_path / "engine.log")) as process:
        devices = process.ask(StandIns(2))
        split = Placement(devices, 31, 31, (31, 31), ctx=1024, threads=1, load_mode="none", split_mode=SplitMode.TENSOR)
        loaded = process.ask(Load(str(smollm2), split))
        blocks = blocks_of(shape_of([read_header(smollm2)]))
        settings = ContextSettings(1024)
        for row in loaded.memory[:-1]:
            assert (row.weights, row.kv) == (weights_on_each(blocks, 2), caches_on_each(blocks, settings, 2))
        assert [row.device for row in loaded.memory] == [*devices, "CPU"]
        (rehearsed,) = process.ask(Rehearse(str(smollm2), (split,)))
        assert rehearsed.memory is not None
        assert rehearsed.memory[0].compute == loaded.memory[0].compute
        text, last = answer(
            process, ask("Name three primary colours."), sampling=Sampling(temperature=0, max_tokens=16)
        )
        assert "red" in text.lower()
        assert last.phase is Phase.DONE


def test_tokens_travel_together_and_the_first_at_once(engine: EngineProcess) -> None:
    whole = list(generate(engine, Request((ask("Tell me about the sea."),), sampling=GREEDY)))
    decode = [chunk for chunk in whole if chunk.phase is Phase.DECODE]
    assert decode[0].completion_tokens == 1
    counts = [chunk.completion_tokens for chunk in whole]
    assert counts == sorted(counts)
    seconds = (whole[-1].completion_tokens - 1) / (whole[-1].decode_tps or 1)
    assert len(decode) <= seconds / 0.05 + 2, "at most one line every 50 ms"


def test_where_nobody_looks_more_travels_together(engine: EngineProcess) -> None:
    asked = Request((ask("Tell me about the sea."),), sampling=GREEDY)
    watched, unwatched = (list(generate(engine, replace(asked, is_watched=watched))) for watched in (True, False))
    assert "".join(chunk.text for chunk in unwatched) == "".join(chunk.text for chunk in watched)
    decode = [chunk for chunk in unwatched if chunk.phase is Phase.DECODE]
    assert decode[0].completion_tokens == 1, "the first at once"
    seconds = (unwatched[-1].completion_tokens - 1) / (unwatched[-1].decode_tps or 1)
    assert len(decode) <= seconds / 0.5 + 2


def test_a_stop_string_ends_an_answer_that_nobody_looks_at_at_once(engine: EngineProcess) -> None:
    question = ask("Name three primary colours.")
    word = answer(engine, question)[0].split()[3]
    asked = Request((question,), sampling=replace(GREEDY, stop=(word,)))
    watched, unwatched = (list(generate(engine, replace(asked, is_watched=watched)))[-1] for watched in (True, False))
    assert watched.finish is unwatched.finish is Finish.STOP
    assert watched.completion_tokens == unwatched.completion_tokens < 48
