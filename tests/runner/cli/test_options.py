"""The command line, the environment and the configuration file, in tables."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runner.cli.flags import PLACEMENT, SAMPLING
from runner.cli.options import Options, load_config, parse
from runner.cli.subcommands import COMMANDS
from runner.types.sampling import Sampling
from runner.types.wish import Prefer, Wish


def options(*words: str, environ: dict[str, str] | None = None, config: dict[str, object] | None = None) -> Options:
    return parse(words, environ or {}, config or {})


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ((), Wish()),
        (("--ctx", "8192", "--kv", "Q8_0"), Wish(ctx=8192, kv_type="q8_0")),
        (("--prefer", "speed", "--quant", "IQ2_M"), Wish(prefer=Prefer.SPEED, quant="IQ2_M")),
        (("--gpu-layers", "0", "--ubatch", "64", "--threads", "3"), Wish(gpu_layers=0, ubatch=64, threads=3)),
        (("--tensor-split", "3,1", "--devices", "CUDA0, CUDA1"), Wish(tensor_split=(3, 1), devices=("CUDA0", "CUDA1"))),
        (("--rpc", "a:1,b:2", "--margin", "2g"), Wish(rpc=("a:1", "b:2"), margin=2 << 30)),
        (("--vram-limit", "512m", "--ram-limit", "1.5GiB"), Wish(vram_limit=512 << 20, ram_limit=3 << 29)),
    ],
)
def test_every_placement_flag_reaches_the_wish(words: tuple[str, ...], wish: Wish) -> None:
    for command in ((), ("plan",), ("bench",), ("pull",)):
        assert options(*command, "m", *words).wish == wish


def test_sampling_and_the_rest() -> None:
    numbers = {"temp": 0, "top-k": 1, "top-p": 0.5, "min-p": 0.1, "repeat-penalty": 1.1, "seed": 7, "max-tokens": 9}
    words = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    found = options(
        "m",
        "-p",
        "hi",
        *words,
        "--stop",
        "END",
        "--stop",
        "FIN",
        "--system",
        "Be kind.",
        "--choices",
        "a, b",
        "--stats",
    )
    assert found.sampling == Sampling(0.0, 1, 0.5, 0.1, 1.1, 7, 9, ("END", "FIN"))
    assert (found.prompt, found.system, found.choices, found.stats) == ("hi", "Be kind.", ("a", "b"), True)


@pytest.mark.parametrize(
    ("words", "model", "continued", "prompt"),
    [
        (("m", "-c", "-p", "hi"), "m", "", "hi"),
        (("m", "-c", "ada", "-p", "hi"), "m", "ada", "hi"),
        (("-c", "--prompt", "hi"), None, "", "hi"),
        (("m", "--continue=ada"), "m", "ada", None),
        (("m",), "m", None, None),
    ],
)
def test_the_conversation_to_go_on_with(
    words: tuple[str, ...], model: str | None, continued: str | None, prompt: str | None
) -> None:
    found = options(*words)
    assert (found.model, found.continued, found.prompt) == (model, continued, prompt)


def test_files_a_name_and_a_named_prompt() -> None:
    found = options("m", "-f", "a.txt", "--file", "b.txt", "--save", " two  words ", "-P", "brief")
    assert found.files == (Path("a.txt"), Path("b.txt"))
    assert (found.save, found.named_prompt) == ("two words", "brief")


def test_a_system_prompt_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "system.txt"
    path.write_text("Be kind.\nBe brief.\n")
    assert options("m", "--system", f"@{path}").system == "Be kind.\nBe brief."
    assert options("m", environ={"LOCALRUN_SYSTEM": f"@{path}"}).system == "Be kind.\nBe brief."
    with pytest.raises(UsageError, match=r"--system: .*none\.txt cannot be read: No such file"):
        options("m", "--system", f"@{tmp_path / 'none.txt'}")


def test_an_earlier_conversation_keeps_its_system_prompt_unless_another_is_typed() -> None:
    config: dict[str, object] = {"system": "Be kind."}
    assert options("m", "-c", config=config).system is None
    assert options("m", "-c", "--system", "Be brief.", config=config).system == "Be brief."


def test_words_of_a_command_stand_before_and_behind_flags() -> None:
    for words in (("conversations", "--json", "ada"), ("--json", "conversations", "ada")):
        found = options("list", *words)
        assert (found.words, found.json) == (("conversations", "ada"), True)


@pytest.mark.parametrize(
    ("typed", "environ", "config", "ctx"),
    [
        ((), {}, {}, None),
        ((), {}, {"ctx": 1}, 1),
        ((), {"LOCALRUN_CTX": "2"}, {"ctx": 1}, 2),
        (("--ctx", "3"), {"LOCALRUN_CTX": "2"}, {"ctx": 1}, 3),
        ((), {"LOCALRUN_CTX": ""}, {"ctx": 1}, 1),  # an empty variable is none
    ],
)
def test_what_beats_what(
    typed: tuple[str, ...], environ: dict[str, str], config: dict[str, object], ctx: int | None
) -> None:
    assert options("m", *typed, environ=environ, config=config).wish.ctx == ctx


def test_every_setting_may_stand_in_the_file_and_the_environment() -> None:
    texts = {
        "kv": "q4_0",
        "prefer": "quality",
        "split_mode": "tensor",
        "devices": "CUDA1",
        "rpc": "h:1",
        "quant": "Q4_0",
        "repeat_penalty": "2",
        "think": "low",
        "draft": "off",
    }
    for flag in PLACEMENT + SAMPLING:
        text = texts.get(flag.key, "1")
        by_variable = options("m", environ={f"LOCALRUN_{flag.key.upper()}": text})
        by_file = options("m", config={flag.key: text})
        typed = options("m", f"--{flag.name}", text)
        assert by_variable == by_file == typed != options("m"), flag.name


@pytest.mark.parametrize(
    ("typed", "draft"),
    [
        ("AUTO", None),
        ("Lookup", "lookup"),
        ("off", "off"),
        ("MTP", "mtp"),
        ("llama-3.2-1b", "llama-3.2-1b"),
        ("./B:Q8_0", "./B:Q8_0"),
    ],
)
def test_who_guesses_is_a_word_or_the_name_of_a_model(typed: str, draft: str | None) -> None:
    assert options("m", "--draft", typed).wish.draft == draft


def test_lists_and_numbers_of_the_file() -> None:
    found = options("m", config={"tensor_split": [3, 1], "devices": ["CUDA0", "CUDA1"], "temp": 0.5, "margin": "1g"})
    assert found.wish == Wish(tensor_split=(3, 1), devices=("CUDA0", "CUDA1"), margin=1 << 30)
    assert found.sampling.temperature == 0.5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("m", "--ctx", "0"), "--ctx: 0 is out of range: at least 1"),
        (("m", "--ctx", "1" + 400 * "0"), "is out of range: 1 to 2147483647"),
        (("m", "--ubatch", "2147483648"), "--ubatch: 2147483648 is out of range: 1 to 2147483647"),
        (("m", "--ctx", "many"), "--ctx: 'many' is not a whole number"),
        (("m", "--temp", "nan"), "--temp: nan is out of range"),
        (("m", "--temp", "inf"), "--temp: inf is out of range"),
        (("m", "--top-p", "1.5"), "0 to 1"),
        (("m", "--kv", "f17"), "'f17' is not one of f16, q8_0"),
        (("m", "--prefer", "best"), "not one of quality, balanced, speed"),
        (("m", "--margin", "much"), "'much' is not a size"),
        (("m", "--colour"), "localrun --help"),
        (("m", "n"), "localrun --help"),
        (("plan",), "MODEL"),
        (("m", "plan"), "localrun --help"),
        (("m", "--keep", "long"), "'long' is not a time"),
        (("list", "--ctx", "1"), "localrun --help"),
        (("m", "--tensor-split", "1,x"), "'x' is not a number"),
        (("m", "--ct", "1"), "localrun --help"),  # no abbreviations: they would change with every new flag
    ],
)
def test_what_is_not_understood_is_said(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        options(*words)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"cxt": 1}, "unknown key 'cxt'; ctx is near"),
        ({"zzzzzz": 1}, "it may hold ctx, kv"),
        ({"ctx": "long"}, "ctx in config.toml: 'long' is not a whole number"),
        ({"ctx": True}, "not a whole number"),
        ({"ctx": {"a": 1}}, "not a whole number"),
    ],
)
def test_a_wrong_file_is_said(config: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        options("m", config=config)
    assert said in str(raised.value)


def test_the_environment_is_named_where_it_is_wrong() -> None:
    with pytest.raises(UsageError, match="LOCALRUN_CTX: 'x' is not a whole number"):
        options("m", environ={"LOCALRUN_CTX": "x"})


@pytest.mark.parametrize("command", [*COMMANDS, "run"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options(*([] if command == "run" else [command]), "--help")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_the_module_of_its_name(command: str) -> None:
    assert callable(import_module(f"runner.cli.subcommands.{command}").run)


@given(st.lists(st.sampled_from([*COMMANDS, "m", "--ctx", "--json", "-p", "", "1", "--", "-x"]), max_size=5))
def test_any_words_are_options_or_one_sentence(words: list[str]) -> None:
    try:
        assert isinstance(parse(words, {}, {}), Options)
    except UsageError as error:
        assert "\n" not in str(error)


def test_the_configuration_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert load_config(path) == {}
    path.write_text('ctx = 4096\ndevices = ["CUDA0"]\n')
    assert options("m", config=load_config(path)).wish == Wish(ctx=4096, devices=("CUDA0",))
    path.write_bytes(b"\xef\xbb\xbfctx = 4096\r\n")  # as an editor of Windows saves it
    assert load_config(path) == {"ctx": 4096}
    for damage in (b"ctx =", b"\xff\xfe", b"a = 1\na = 2", b"ctx = " + b"[" * 100_000):
        path.write_bytes(damage)
        with pytest.raises(UsageError, match=r"config\.toml cannot be read"):
            load_config(path)


def test_a_template_and_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ messages }}", "utf-8")
    (tmp_path / "tools.json").write_text('[{"name": "é"}]', "utf-8")
    typed = [
        "--template-var",
        "mood=calm",
        "--template-var",
        "deep=true",
        "--template-var",
        f"tools=@{tmp_path}/tools.json",
    ]
    found = options("m", "--chat-template", str(tmp_path / "own.jinja"), *typed).sampling.templating
    assert (found.text, found.source) == ("{{ messages }}", f"The chat template {tmp_path}/own.jinja")
    assert json.loads(found.variables) == {"mood": "calm", "deep": True, "tools": [{"name": "é"}]}


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (("--chat-template", "/nowhere"), "cannot be read: No such file"),
        (("--template-var", "calm"), "is not K=V"),
        (("--tools", "/nowhere"), "cannot be read"),
        (("--tool-choice", "required"), "there are no tools"),
        (("--template-var", "a b=c"), "is not K=V"),
        (("--template-var", "messages=[]"), "conversation itself"),
        (("--template-var", "a=@/nowhere"), "cannot be read: No such file"),
        (("--think", "hard"), "is not one of"),
        (("--think-budget", "-1"), "out of range"),
        (("--stop", ""), "ends nothing"),
    ],
)
def test_wrong_words_about_templates_thinking_and_stops_are_one_sentence(typed: Sequence[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        options("m", *typed)
