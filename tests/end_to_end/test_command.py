"""The command as people and scripts use it: real processes, the real small model, no network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import COMMAND_S, PATIENCE_S, line_of, short_lived, until

COLOURS = "Name three primary colours."
SHORT = ("--temp", "0", "--max-tokens", "12", "--threads", "1")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def popen(environment: dict[str, str], *words: str, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "localrun", *words],
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def localrun(environment: dict[str, str]) -> Command:
    def run(*words: str, stdin: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        process = popen({**environment, **extra}, *words, stdin=subprocess.PIPE if stdin is not None else None)
        out, err = process.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    return run


def test_one_answer_goes_to_stdout_and_all_else_to_stderr(localrun: Command) -> None:
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, "--stats")
    assert done.returncode == 0
    assert done.stdout.strip() and done.stdout.endswith("\n") and done.stdout.count("\n") <= 3
    assert "on the CPU" in done.stderr and "planned → held" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_stdin_goes_before_the_prompt(localrun: Command) -> None:
    both = localrun("smollm2-135m", "-p", "COUNT", *SHORT, "--json", stdin="a b c d")
    alone = localrun("smollm2-135m", *SHORT, "--json", stdin="a b c d\n\nCOUNT")
    assert json.loads(both.stdout)["text"] == json.loads(alone.stdout)["text"]


def test_json_has_what_the_contract_says(localrun: Command) -> None:
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, "--json", "--seed", "5")
    answer = json.loads(done.stdout)
    assert answer["finish_reason"] == "length"
    assert answer["model"] == {"name": "smollm2-135m", "quant": "Q4_1"}
    assert answer["usage"]["completion_tokens"] == 12 and answer["usage"]["cached_tokens"] == 0
    assert set(answer["timings"]) == {"load_s", "ttft_s", "prefill_tps", "decode_tps"}
    assert answer["seed"] == 5 and answer["reasoning"] is None
    (row,) = answer["memory"]
    assert row["device"] == "CPU" and row["planned"] == row["measured"]


def test_json_has_how_likely_each_token_was(localrun: Command) -> None:
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, "--temp", "0", "--json", "--logprobs", "3")
    answer = json.loads(done.stdout)
    tokens = answer["logprobs"]
    assert "".join(one["token"] for one in tokens) == answer["text"] and len(tokens) == 12
    for one in tokens:
        best = one["top_logprobs"]
        assert len(best) == 3 and best[0]["logprob"] == one["logprob"] <= 0, "the likeliest is taken at temperature 0"
        assert [each["logprob"] for each in best] == sorted((each["logprob"] for each in best), reverse=True)


def test_jsonl_streams_and_ends_with_the_whole(localrun: Command) -> None:
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, "--jsonl")
    *deltas, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert "".join(delta["delta"] for delta in deltas) == last["text"] != ""


def test_a_schema_binds_the_answer(localrun: Command, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    done = localrun("smollm2-135m", "-p", "Give a number as JSON.", "--temp", "0", "--schema", str(schema))
    assert isinstance(json.loads(done.stdout)["n"], int)


def test_what_a_grammar_does_not_hold_is_said_before_and_checked_after(localrun: Command, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "integer", "minimum": 1, "multipleOf": 1000000007}')
    done = localrun("smollm2-135m", "-p", "Pick.", "--temp", "0", "--schema", str(schema), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["finish_reason"] == "error" and int(told["text"]) > 0
    assert "is not a multiple of 1000000007" in told["error"]["message"]
    said, loaded = done.stderr.index("No grammar holds an answer to multipleOf"), done.stderr.index("on the CPU")
    assert said < loaded


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--choices", ""), "there is nothing to choose from"),
        (("--choices", " , "), "there is nothing to choose from"),
        (("--grammar", "/dev/null"), "The grammar is empty"),
        (("--grammar", "/dev/zero"), "/dev/zero cannot be read: it is no file"),
        (("--grammar", "/etc/hosts"), "llama.cpp does not understand the grammar"),
    ],
)
def test_a_constraint_that_is_none_is_refused(localrun: Command, words: tuple[str, ...], sentence: str) -> None:
    done = localrun("smollm2-135m", "-p", "Pick.", *words)
    assert done.returncode == 2 and sentence in done.stderr and not done.stdout
    assert "on the CPU" not in done.stderr, "nothing is loaded for it"


def test_calls_are_json_in_pieces_as_a_whole_and_a_line_each(localrun: Command, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}, {"name": "now"}]
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    words = ("smollm2-135m", "-p", "Rain in Rome?", "--tools", str(tmp_path / "tools.json"), "--tool-choice", "weather")
    asked = ("--temp", "0", "--max-tokens", "60", "--threads", "1", "--stop", "</tool_call>")
    *pieces, whole = map(json.loads, localrun(*words, *asked, "--jsonl").stdout.splitlines())
    (call,) = whole["tool_calls"]
    assert whole["finish_reason"] == "tool_calls" and whole["text"] == "" and len(call["id"]) == 9
    assert json.loads(call["function"]["arguments"])["city"] in ("Rome", "Oslo")
    said = [one["function"] for piece in pieces for one in piece.get("tool_calls", ())]
    assert "".join(one["arguments"] for one in said) == call["function"]["arguments"]
    plain = localrun(*words, *asked)
    assert json.loads(plain.stdout) == {"name": "weather", "arguments": json.loads(call["function"]["arguments"])}
    assert "knows no tools" in plain.stderr
    (tmp_path / "tools.json").write_text("{}")
    assert (done := localrun(*words)).returncode == 2 and "list of functions" in done.stderr


def test_an_answer_that_is_cut_before_it_is_a_choice_has_failed(localrun: Command) -> None:
    words = ("smollm2-135m", "-p", "Pick.", "--choices", "incomprehensibilities", "--temp", "0", "--json")
    cut, whole = localrun(*words, "--max-tokens", "2"), localrun(*words)
    assert (cut.returncode, whole.returncode) == (1, 0)
    told = json.loads(cut.stdout)
    assert told["finish_reason"] == "error" and "incomprehensibilities".startswith(told["text"]) and told["text"]
    assert "was cut before it was whole" in told["error"]["message"]


def test_choices_bind_the_answer(localrun: Command) -> None:
    done = localrun("smollm2-135m", "-p", "Cats or dogs?", "--choices", "cats,dogs", "--temp", "0")
    assert done.stdout.strip() in ("cats", "dogs")


def test_plain_chat_remembers(localrun: Command) -> None:
    done = localrun("smollm2-135m", "--plain", *SHORT, stdin="My name is Ada.\n\nWhat is my name?\n")
    assert done.returncode == 0
    turns = [line for line in done.stderr.splitlines() if " · first token " in line]
    assert ["prompt tokens kept" in line for line in turns] == [False, True]


def test_a_batch_that_was_killed_goes_on_where_it_was(
    localrun: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    prompts, answers = tmp_path / "in.txt", tmp_path / "out.jsonl"
    prompts.write_text('Say one.\n{"prompt": "Say two."}\nSay three.\nSay four.\n')
    answers.touch()
    words = ("smollm2-135m", "--batch", str(prompts), "--out", str(answers), "--parallel", "1", *SHORT)
    with short_lived(popen(environment, *words)) as batch:
        until(lambda: b"\n" in answers.read_bytes(), answers.read_bytes)
        batch.send_signal(signal.SIGKILL)
    first = answers.read_bytes().split(b"\n")[0]
    with answers.open("ab") as file:
        file.write(first[:20])  # in the middle of a line
    done = localrun(*words)
    assert done.returncode == 0 and "which was cut off" in done.stderr
    rows = answers.read_bytes().splitlines()
    assert rows[0] == first
    asked = ["Say four.", "Say one.", "Say three.", "Say two."]
    assert sorted(json.loads(row)["prompt"] for row in rows) == asked, "nothing twice, nothing lost"


def test_lines_of_a_batch_are_answered_at_once_and_a_wrong_one_stops_none(localrun: Command, tmp_path: Path) -> None:
    prompts, answers = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines: list[object] = [
        {"prompt": "Is water wet?", "id": "wet", "choices": ["yes", "no"]},
        {"messages": [{"role": "user", "content": "How many legs has a dog?"}], "schema": {"enum": [2, 4, 6]}},
        {"prompt": "x", "temp": "hot"},
        {"prompt": "Say two.", "max_tokens": 3, "logprobs": 2},
        {"prompt": "Pick two letters.", "grammar": 'root ::= [a-c] "-" [a-c]'},
    ]
    prompts.write_text("\n".join(map(json.dumps, lines)) + "\nSay one.\n")
    words = ("smollm2-135m", "--batch", str(prompts), "--out", str(answers), "--parallel", "3", *SHORT)
    done = localrun(*words)
    assert done.returncode == 1 and "--batch, line 3: temp: " in done.stderr
    assert "6 of 6 prompts · " in done.stderr and " tok/s" in done.stderr
    wet, legs, wrong, two, letters, one = sorted(
        map(json.loads, answers.read_text().splitlines()), key=lambda row: row["line"]
    )
    assert (wet["id"], wet["text"] in ("yes", "no")) == ("wet", True)
    assert int(legs["text"]) >= 0 and one["text"]
    assert (wrong["id"], wrong["error"]["kind"], wrong["text"]) == ("3", "UsageError", "")
    assert two["usage"]["completion_tokens"] == 3
    assert [len(token["top_logprobs"]) for token in two["logprobs"]] == [2, 2, 2]
    assert re.fullmatch("[a-c]-[a-c]", letters["text"])
    again = localrun(*words)
    assert again.returncode == 1 and "line 3" in again.stderr
    assert len(answers.read_text().splitlines()) == 6, "nothing twice"


def test_a_second_batch_with_the_same_answers_is_refused_while_the_first_goes_on(
    localrun: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    prompts, answers = tmp_path / "in.txt", tmp_path / "out.jsonl"
    prompts.write_text("Say one.\n" + "Write a very long story.\n" * 9)
    answers.touch()
    words = ("smollm2-135m", "--batch", str(prompts), "--out", str(answers), "--parallel", "1", "--threads", "1")
    with short_lived(popen(environment, *words, "--max-tokens", "400")) as first:
        until(lambda: b"\n" in answers.read_bytes(), answers.read_bytes)
        second = localrun(*words)
        assert second.returncode == 2 and f"Another localrun is writing {answers}." in second.stderr
        assert first.poll() is None, "and the first goes on"


def test_one_prompt_that_fails_does_not_end_a_batch(localrun: Command, tmp_path: Path) -> None:
    prompts, answers = tmp_path / "in.txt", tmp_path / "out.jsonl"
    prompts.write_text(f"Say one.\n{'word ' * 600}\nSay two.\n")
    words = ("smollm2-135m", "--batch", str(prompts), "--out", str(answers), "--ctx", "512", *SHORT)
    done = localrun(*words)
    assert done.returncode == 1 and "1 of 3 prompts failed; their lines say why." in done.stderr
    rows = sorted(map(json.loads, answers.read_text().splitlines()), key=lambda row: row["line"])
    assert [row["error"] and row["error"]["kind"] for row in rows] == [None, "PromptTooLong", None]
    assert [(row["id"], row["line"], bool(row["text"])) for row in rows] == [
        ("1", 1, True),
        ("2", 2, False),
        ("3", 3, True),
    ]
    again = localrun(*words)
    assert again.returncode == 1 and "1 of 3 prompts have failed, and no other is left" in again.stderr
    assert len(answers.read_text().splitlines()) == 3, "it would fail in the same way, and is not asked again"
    assert localrun(*words[:3], "--out", str(prompts)).returncode == 2, "the prompts would be written over"


def has_ended(engine: psutil.Process) -> bool:
    """With all its threads, whether somebody has asked after it or not."""
    try:
        return engine.num_threads() == 1 and engine.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_plain_chat_survives_what_befalls_a_turn(environment: dict[str, str]) -> None:
    chat = popen(environment, "smollm2-135m", "--plain", "--ctx", "512", *SHORT, stdin=subprocess.PIPE)
    assert chat.stdin is not None
    chat.stdin.write("Say one.\n")
    chat.stdin.flush()
    assert line_of(chat).strip()
    engine = engine_of(chat)
    engine.kill()
    until(lambda: has_ended(engine), lambda: engine)
    out, err = chat.communicate(f"{'word ' * 600}\nSay two.\n", timeout=60)
    assert chat.returncode == 0 and out.strip(), err
    assert "The engine was started again: all 31 layers on the CPU, 512 context in f16." in err
    assert "the context holds 512" in err and "Traceback" not in err


def refused(folder: Path) -> list[tuple[tuple[str, ...], int, str]]:
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "text.gguf").write_bytes(b"this is no model at all")
    (folder / "version.gguf").write_bytes(b"GGUF\x63\x00\x00\x00" + bytes(40))
    (folder / "config.toml").write_text("ctxx = 5\n")
    return [
        (("smollm2-35m", "-p", "x"), 3, "smollm2-135m"),
        (("qwertyuiop", "-p", "x"), 3, "no model 'qwertyuiop'"),
        ((str(folder / "none.gguf"), "-p", "x"), 3, "no file"),
        ((str(folder / "empty.gguf"), "-p", "x"), 3, "empty.gguf"),
        ((str(folder / "text.gguf"), "-p", "x"), 3, "text.gguf"),
        ((str(folder / "version.gguf"), "-p", "x"), 3, "version 99"),
        (("smollm2-135m",), 2, "no prompt and no terminal"),
        ((), 2, "Which model"),
        (("smollm2-135m", "-p", "x", "--ctx", "many"), 2, "--ctx"),
        (("smollm2-135m", "-p", "x", "--no-such-flag"), 2, "no-such-flag"),
        (("serve", "smollm2-135m", "--listen", "0.0.0.0:0"), 2, "--api-key-file"),
        (("smollm2-135m", "-p", "x", "--quant", "Q9"), 2, "Q4_1"),
        (("smollm2-135m", "-p", "x", "--json", "--jsonl"), 2, "exclude"),
        (("plan", "qwertyuiop", "--on", "abacus"), 2, "abacus"),
        (("smollm2-135m", "-p", "word " * 3000, "--ctx", "512"), 2, "the context holds 512"),
        (("qwertyuiop", "-p", "x", "--rpc", "127.0.0.1:1"), 1, "127.0.0.1:1"),
    ]


def test_bad_input_is_one_sentence_and_a_code(localrun: Command, tmp_path: Path) -> None:
    for words, code, said in refused(tmp_path):
        done = localrun(*words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("localrun: ") and said in last, (words, done.stderr)
        assert "Traceback" not in done.stderr


def test_json_is_printed_for_errors_too(localrun: Command) -> None:
    done = localrun("smollm2-35m", "-p", "x", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["kind"] == "ModelNotFound"
    done = localrun("plan", "smollm2-135m", "--ram-limit", "10m", "--json")
    assert done.returncode == 5
    plan = json.loads(done.stdout)
    assert plan["chosen"] is None and plan["candidates"][0]["verdict"] == "no" and plan["why"]


def test_the_environment_and_the_configuration_file_count(
    localrun: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(environment["XDG_CONFIG_HOME"]) / "localrun"
    folder.mkdir(parents=True)
    config = folder / "config.toml"
    config.write_text("ctx = 1024\n")
    try:
        assert json.loads(localrun("plan", "smollm2-135m", "--json").stdout)["candidates"][0]["ctx"] == 1024
        by_variable = localrun("plan", "smollm2-135m", "--json", LOCALRUN_CTX="2048")
        assert json.loads(by_variable.stdout)["candidates"][0]["ctx"] == 2048
        by_flag = localrun("plan", "smollm2-135m", "--json", "--ctx", "512", LOCALRUN_CTX="2048")
        assert json.loads(by_flag.stdout)["candidates"][0]["ctx"] == 512
        config.write_text("ctxx = 5\n")
        done = localrun("plan", "smollm2-135m")
        assert done.returncode == 2 and "ctx is near" in done.stderr
    finally:
        config.unlink()


def test_the_other_commands(localrun: Command) -> None:
    assert "SmolLM2-135M-Instruct" in localrun("list").stdout
    assert json.loads(localrun("list", "--json").stdout)[0]["origin"] == "package"
    shown = localrun("show", "smollm2-135m").stdout
    assert "llama, 30 layers" in shown and "apache-2.0" in shown
    assert json.loads(localrun("show", "smollm2-135m", "--json").stdout)[0]["context_trained"] == 8192
    places = json.loads(localrun("paths", "--json").stdout)
    assert {"prompts", "conversations", "headers", "states", "sent weights"} <= places.keys()
    check = json.loads(localrun("doctor", "--json").stdout)
    assert "RPC" in check["backends"] and check["devices"][-1]["id"] == "CPU"
    done = localrun("rm", "smollm2-135m")
    assert done.returncode == 3 and "localrun" in done.stderr
    assert localrun("--version").stdout.startswith("localrun 0")
    assert "localrun MODEL -p PROMPT" in localrun("--help").stdout


def test_plan_json_has_what_the_contract_says(localrun: Command) -> None:
    plan = json.loads(localrun("plan", "smollm2-135m", "--on", "2xrtx-3090", "--json").stdout)
    assert plan["machine"]["source"] == "named"
    assert [device["id"] for device in plan["machine"]["devices"]] == ["CUDA0", "CUDA1", "CPU"]
    chosen = plan["candidates"][plan["chosen"]]
    assert chosen["verdict"] == "gpu" and chosen["confirmed_by"] == "stand-in"
    assert chosen["placement"]["tensor_split"] == [31] and chosen["placement"]["layers_total"] == 31
    for row in chosen["memory"]:
        assert row["total"] == row["weights"] + row["kv"] + row["compute"] + row["overhead"]
        assert row["free_after"] == row["free"] - row["total"]
    assert chosen["memory"][-1]["device"] == "CPU"
    assert chosen["predicted"]["decode_tps"] > 0 and plan["why"]


def started(environment: dict[str, str], *words: str) -> tuple[subprocess.Popen[str], str]:
    """A long answer under way, and its first characters."""
    asked = ("smollm2-135m", "-p", "Write a very long story about the sea.", "--temp", "0", "--threads", "1")
    process = popen(environment, *asked, *words)
    assert process.stdout is not None
    return process, process.stdout.read(8)


def engine_of(process: subprocess.Popen[str]) -> psutil.Process:
    (child,) = psutil.Process(process.pid).children()
    return child


def test_ctrl_c_keeps_what_was_said(environment: dict[str, str]) -> None:
    process, begun = started(environment)
    engine = engine_of(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert begun and (begun + out).endswith("\n") and "Traceback" not in err
    psutil.wait_procs([engine], timeout=PATIENCE_S)
    assert not engine.is_running()


def test_ctrl_c_ends_it_within_a_second_even_if_the_engine_is_stopped(environment: dict[str, str]) -> None:
    process, begun = started(environment, "--jsonl")
    engine = engine_of(process)
    engine.suspend()
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - asked < 1.5, "a second, and the end of an interpreter on a busy machine"
    answer = json.loads(out.splitlines()[-1])
    assert (process.returncode, answer["finish_reason"], bool(answer["text"])) == (130, "interrupted", True)
    assert begun and not engine.is_running()


def test_a_killed_engine_is_one_sentence_and_keeps_what_was_said(environment: dict[str, str]) -> None:
    process, begun = started(environment)
    engine_of(process).kill()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert begun and (begun + out).endswith("\n")
    assert "was killed" in err.splitlines()[-1] and "Traceback" not in err


def test_a_killed_parent_leaves_no_engine(environment: dict[str, str]) -> None:
    process, _ = started(environment)
    engine = engine_of(process)
    process.kill()
    process.communicate(timeout=30)
    gone, alive = psutil.wait_procs([engine], timeout=PATIENCE_S)
    assert gone and not alive


def test_a_closed_pipe_ends_it_quietly(environment: dict[str, str]) -> None:
    process, _ = started(environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == -signal.SIGPIPE
    assert "Traceback" not in process.stderr.read() and "BrokenPipe" not in process.stderr.read()
    process.stderr.close()


def shell(environment: dict[str, str], redirection: str) -> subprocess.CompletedProcess[str]:
    """One short answer, with the standard streams as a shell's redirection leaves them."""
    words = " ".join([sys.executable, "-P", "-m", "localrun", "smollm2-135m", "-p", "Hi", *SHORT])
    asked = ["sh", "-c", f"{words} {redirection}"]
    return subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False)


def test_a_full_disk_is_one_sentence(environment: dict[str, str]) -> None:
    done = shell(environment, "> /dev/full")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "localrun: The answer could not be written: No space left on device."


@pytest.mark.parametrize(
    ("closed", "has_answer"), [("<&-", True), ("2>&-", True), (">&-", False), ("<&- >&- 2>&-", False)]
)
def test_closed_streams_do_no_harm(environment: dict[str, str], closed: str, has_answer: bool) -> None:
    done = shell(environment, closed)
    assert (done.returncode, bool(done.stdout.strip())) == (0, has_answer), done.stderr


def test_the_parent_stays_small(environment: dict[str, str]) -> None:
    process, _ = started(environment)
    resident = psutil.Process(process.pid).memory_info().rss
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert resident < 80 << 20


@pytest.mark.parametrize("command", [["list"], ["paths"]])
def test_a_command_that_answers_nothing_does_not_speak_of_an_answer(
    environment: dict[str, str], command: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-P", "-m", "localrun", *command]
        done = subprocess.run(
            words, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=COMMAND_S, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "localrun: The output could not be written: No space left on device.\n",
    )


@pytest.mark.parametrize("words", ["-p Hi --json", "--plain --json"])
def test_a_pipe_without_an_end_is_not_read_to_it(environment: dict[str, str], words: str) -> None:
    line = f'cat /dev/zero | "{sys.executable}" -P -m localrun smollm2-135m {words}'
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 2 and "million letters came on stdin" in json.loads(done.stdout)["error"]["message"]


def test_what_the_system_refuses_is_one_sentence_and_an_object(
    environment: dict[str, str], tmp_path: Path, smollm2: Path
) -> None:
    (tmp_path / "m.gguf").symlink_to(smollm2)
    (tmp_path / "gone").mkdir()
    line = f'cd gone && rmdir ../gone && exec "{sys.executable}" -P -m localrun ../m.gguf -p Hi --json'
    kept = {**environment, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    said = "The folder that this was started in: No such file or directory."
    assert (done.returncode, done.stderr) == (1, f"localrun: {said}\n")
    assert json.loads(done.stdout)["error"] == {"kind": "EngineError", "message": said, "code": 1}


def test_a_foreign_runner_on_the_module_path_is_not_ours(localrun: Command, tmp_path: Path) -> None:
    (tmp_path / "runner.py").write_text("raise SystemExit('not ours')\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, PYTHONPATH=path)
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


def test_a_home_in_which_nothing_can_be_written_costs_no_answer(localrun: Command) -> None:
    places = {f"XDG_{name}_HOME": "/dev/null/home" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    done = localrun("smollm2-135m", "-p", COLOURS, *SHORT, HOME="/dev/null", HF_HOME="/dev/null/hf", **places)
    assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr
    assert "Traceback" not in done.stderr
