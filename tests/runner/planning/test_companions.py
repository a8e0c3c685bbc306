"""Who guesses beside a model: what it takes is planned with it, and never more than there is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from models.weights import WeightFile, WeightSet
from runner.cost.ledger import host_reserve, reserve
from runner.planning.choose import Contender, choose
from runner.planning.companions import OWN_HEADS, Drafter, Helpers, accompanied
from runner.planning.experience import learned
from runner.planning.fallback import Question, next_lower
from runner.planning.placement import Placed, place
from runner.planning.restrictions import limited
from runner.report import sentences
from runner.types.drafts import Drafted, DraftKind
from runner.types.fallback import Rung, Tried
from runner.types.machine import Kind, Machine
from runner.types.measurement import Guessed, Measurement, Tuned
from runner.types.placement import Companion, Placement
from runner.types.plan import Candidate, Guesses, Verdict
from runner.types.reasons import Accompanied, HeadsLeftOut, Lack, TunedHere, Unaccompanied
from runner.types.units import GIB
from runner.types.wish import Wish
from scripts.synthetic.geometries import MODELS, qwen35
from scripts.synthetic.geometry import Attention, Dense, Geometry
from scripts.synthetic.headers import entries, header_bytes, metadata
from tests.support.planner import a100, gpu, machine, shape

SMALL = shape("llama-3.2-1b")
NAMED = "llama-3.2-1b"
DRAFTER = Drafter(NAMED, WeightSet("Q4_K_M", (WeightFile("small.gguf", SMALL.bytes),)), SMALL)


def placed(model: str, there: Machine, wish: Wish, helpers: Helpers | None = None) -> Placed:
    return accompanied(shape(model), there, wish, None, helpers or Helpers(DRAFTER))


def check_room(found: Placed, there: Machine, wish: Wish) -> None:
    """Everything together fits what the machine has by the same rule as for one model, and no row is counted twice."""
    has = limited(there, replace(wish, tensor_split=None))
    devices = {device.id: device for device in has.devices}
    assert found.memory[-1].device == "CPU"
    for row in found.memory[:-1]:
        assert row.free == devices[row.device].free
        assert row.held + reserve(devices[row.device], wish.margin) <= row.free
    assert found.memory[-1].total + host_reserve(has) <= found.memory[-1].free
    for companion in found.companions:
        whole = {row.device: row for row in found.memory}
        for part in companion.memory:
            assert (part.weights, part.kv) <= (whole[part.device].weights, whole[part.device].kv)


@pytest.mark.parametrize(
    ("model", "there", "home"),
    [
        ("llama-3.1-8b", machine(gpu(24)), "CUDA0"),  # both on the GPU
        ("llama-3.3-70b", machine(gpu(24)), "CUDA0"),  # the small one there, the large one split
        ("llama-3.1-8b", machine(gpu(24, 600, 1), gpu(24)), "CUDA0"),  # on the faster one
        ("llama-3.1-8b", machine(ram=16), "CPU"),
        ("glm-4.5-air", machine(gpu(24), gpu(24, index=1), gpu(24, index=2)), "CUDA0"),  # the first of equal ones
    ],
)
def test_a_small_model_is_placed_first_and_the_large_one_on_the_rest(model: str, there: Machine, home: str) -> None:
    found = placed(model, there, Wish(draft=NAMED))
    check_room(found, there, Wish())
    assert found.placement is not None and found.placement.companion is not None
    companion = found.placement.companion
    assert (companion.kind, companion.path) == (DraftKind.MODEL, "small.gguf")
    assert companion.placement is not None
    assert companion.placement.devices == (() if home == "CPU" else (home,))
    assert (companion.placement.ctx, companion.placement.drafts) == (found.placement.ctx, 0)
    (why,) = [reason for reason in found.reasons if isinstance(reason, Accompanied)]
    assert why.devices == (home,)
    alone = place(shape(model), there, Wish())
    assert alone.placement is not None
    assert why.ctx == alone.placement.ctx - found.placement.ctx
    assert found.predicted is not None and found.predicted.guesses is not None
    assert found.predicted.guesses.gain == why.gain


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["llama-3.1-8b", "glm-4.5-air"]),
    st.sampled_from([NAMED, "mtp"]),
    st.floats(4, 90),
    st.floats(8, 120),
    st.sampled_from([Kind.GPU, Kind.IGPU]),
    st.sampled_from([Wish(), Wish(ctx=4096), Wish(vram_limit=10 * GIB), Wish(ram_limit=12 * GIB), Wish(margin=0)]),
)
def test_with_a_companion_the_bytes_never_exceed_what_there_is(
    model: str, draft: str, vram: float, ram: float, kind: Kind, wish: Wish
) -> None:
    one = replace(gpu(vram), kind=kind, shares_host_memory=kind is Kind.IGPU)
    there = machine(replace(one, free=min(one.free, int(ram * GIB))), ram=ram)
    wish = replace(wish, draft=draft)
    found = placed(model, there, wish, Helpers(DRAFTER if draft == NAMED else None))
    if found.verdict is not Verdict.NO:
        check_room(found, there, wish)
    assert any(isinstance(one, Accompanied | Unaccompanied) for one in found.reasons) or found.verdict is Verdict.NO


def test_heads_of_its_own_are_counted_where_the_last_layers_are() -> None:
    there, model = machine(a100()), shape("glm-4.5-air")
    found = placed("glm-4.5-air", there, Wish(draft="mtp"), Helpers())
    (heads,) = found.companions
    on_device = heads.memory[0]
    assert on_device.weights == sum(tensor.bytes for tensor in model.tensors if tensor.unused)
    assert found.placement is not None
    assert on_device.kv == found.placement.ctx * 2 * (8 * 128 + 8 * 128)
    check_room(found, there, Wish())
    assert all(".nextn." in one.name or one.name.startswith("blk.46.") for one in model.tensors if one.unused)


def test_what_costs_context_says_how_much_and_what_it_brings() -> None:
    found = placed("llama-3.3-70b", machine(a100()), Wish(draft=NAMED))
    said = sentences.sentence(found.reasons[0])
    assert said.startswith("llama-3.2-1b guesses ahead on CUDA0: 5.0 GiB for about 1.6")
    assert "if 55% of 4 guesses a step come true, as was published. Without, there would be " in said
    assert said.endswith(" more context.")


@pytest.mark.parametrize(("vram", "better"), [(7, "Q8_0"), (8, None), (13, None)])
def test_what_costs_a_better_quantization_says_which(vram: float, better: str | None) -> None:
    """The one that would be taken if the text alone guessed; where that is the same, there is nothing to say."""
    options = [
        Contender(WeightSet(quant, (WeightFile("x.gguf", as_stored.bytes),)), as_stored, helpers=Helpers(DRAFTER))
        for quant in ("Q8_0", "Q5_K_M", "Q4_K_M")
        for as_stored in [shape("llama-3.1-8b", quant)]
    ]
    there, wish = machine(gpu(vram)), Wish(draft=NAMED, ctx=8192)
    plan = choose("it", options, there, wish)
    alone = choose("it", [replace(one, helpers=Helpers()) for one in options], there, replace(wish, draft="lookup"))
    assert plan.chosen is not None and alone.chosen is not None
    taken = plan.candidates[plan.chosen]
    assert alone.candidates[alone.chosen].quant == (better or taken.quant)
    (why,) = [reason for reason in taken.reasons if isinstance(reason, Accompanied)]
    assert why.better == better
    said = "Without, there would be a better quantization, Q8_0."
    assert sentences.sentence(why).endswith(said) == (better is not None)
    (bound,) = choose("it", options, there, replace(wish, quant="Q5_K_M")).candidates
    assert all(one.better is None for one in bound.reasons if isinstance(one, Accompanied))


@pytest.mark.parametrize(
    ("model", "there", "wish", "lack", "said"),
    [
        ("llama-3.1-8b", machine(ram=7), Wish(draft=NAMED, ctx=8192), Lack.ROOM, "There is no room for llama-3.2-1b"),
        ("glm-4.5-air", machine(a100()), Wish(draft="mtp", sequences=4), Lack.SEQUENCES, "several requests"),
        ("llama-3.1-8b", machine(gpu(24)), Wish(draft="mtp"), Lack.HEADS, "It has no heads of its own"),
        ("llama-3.1-8b", machine(gpu(24)), Wish(draft=NAMED, ubatch=1), Lack.BATCH, "no room for guesses; nothing is"),
        (
            "glm-4.5-air",
            machine(a100(), a100(1), gpu(8, 200, 2)),
            Wish(draft="mtp", ctx=131072),
            Lack.DEVICES,
            "several",
        ),
    ],
)
def test_where_it_would_not_pay_it_is_left_out_and_said(
    model: str, there: Machine, wish: Wish, lack: Lack, said: str
) -> None:
    found = placed(model, there, wish)
    assert found.placement is not None and found.placement.companion is None
    (why,) = [reason for reason in found.reasons if isinstance(reason, Unaccompanied)]
    assert why.lack is lack
    assert said in sentences.sentence(why)
    as_ever = place(shape(model), there, replace(wish, draft=None))
    assert found.memory == as_ever.memory


def test_a_state_goes_back_on_the_way_only_where_an_ubatch_has_room_for_that() -> None:
    """Else llama.cpp aborts (llama-batch.cpp: n_keep_tail): with no more than four tokens it goes back to a copy."""
    for wish, rollback in ((Wish(ubatch=4), 0), (Wish(ubatch=5), 3), (Wish(), 3)):
        found = place(shape_of_heads(), machine(gpu(24)), wish)
        assert found.placement is not None and (found.placement.rollback, found.placement.drafts) == (rollback, 15)


@pytest.mark.parametrize("draft", [None, "lookup", "mtp", NAMED, "off"])
def test_where_no_copy_of_a_state_can_be_made_nothing_is_guessed_and_that_is_said(draft: str | None) -> None:
    """Of Granite's kind, which keeps no states on the way: with a state of 55 MiB, and with one of 434."""
    usual = MODELS["granite-4.0-h-tiny"]
    large = replace(usual, settings={**usual.settings, "ssm.state_size": 1024})
    there, wish, helpers = machine(gpu(24)), Wish(draft=draft), Helpers(DRAFTER if draft == NAMED else None)
    found = accompanied(as_shape(large), there, wish, None, helpers)
    assert found.placement is not None and not found.companions
    assert (found.placement.drafts, found.placement.rollback, found.placement.companion) == (0, 0, None)
    said = [sentences.sentence(one) for one in found.reasons if isinstance(one, Unaccompanied)]
    assert said == ([] if draft == "off" else [NO_COPY])
    smaller = accompanied(as_shape(usual), there, wish, None, helpers)
    assert smaller.placement is not None and (smaller.placement.drafts > 0) == (draft != "off")
    assert NO_COPY not in map(sentences.sentence, smaller.reasons)
    narrow = accompanied(as_shape(usual), there, replace(wish, ubatch=4, sequences=4), None, helpers)
    assert [one.lack for one in narrow.reasons if isinstance(one, Unaccompanied)] == [Lack.BATCH] * (draft != "off")


NO_COPY = "Its recurrent state keeps no way back, and is too large to be copied before each guess; nothing is guessed."


def test_heads_that_nobody_asked_for_guess_where_they_cost_nothing() -> None:
    """Of a dense model on one GPU with room to spare; elsewhere a sentence says why not."""
    dense, mixture = shape_of_heads(), shape("glm-4.5-air")
    roomy, tight = machine(gpu(24)), machine(gpu(2.6))
    found = accompanied(dense, roomy, Wish(), None, Helpers())
    assert found.placement is not None and found.placement.companion == Companion(DraftKind.MTP)
    assert found.predicted is not None and found.predicted.guesses is not None and found.predicted.guesses.gain > 1.1
    check_room(found, roomy, Wish())
    lost = {OWN_HEADS: Guesses(DraftKind.MTP, 0.3, 0.9)}
    for model, there, wish, helpers, lack in [
        (dense, tight, Wish(), Helpers(), None),
        (dense, machine(ram=32), Wish(), Helpers(), Lack.HOST),
        (dense, roomy, Wish(sequences=4), Helpers(), Lack.SEQUENCES),
        (dense, roomy, Wish(), Helpers(measured=lost), Lack.GAIN),
        (mixture, machine(gpu(140)), Wish(), Helpers(), Lack.EXPERTS),
    ]:
        without = accompanied(model, there, wish, None, helpers)
        as_ever = place(model, there, replace(wish, draft="lookup"))
        assert (without.placement, without.memory) == (as_ever.placement, as_ever.memory)
        (why,) = [reason for reason in without.reasons if isinstance(reason, Unaccompanied | HeadsLeftOut)]
        if isinstance(why, Unaccompanied):
            assert why.lack is lack
            assert sentences.sentence(why).endswith("guesses come from the text alone.")
        else:
            assert lack is None and why.ctx > 0
            assert " more context without them." in sentences.sentence(why)


def test_what_was_tuned_without_heads_stays_until_these_would_guess() -> None:
    """Where they had gained too little, or had cost context, that is still said; else the planner's own is taken."""
    roomy, tight = machine(gpu(24)), machine(gpu(2.6))
    lost = Helpers(measured={OWN_HEADS: Guesses(DraftKind.MTP, 0.3, 0.9)})

    def planned(there: Machine, helpers: Helpers, kept: Placement | None = None) -> Candidate:
        weights = WeightSet("Q4_K_M", (WeightFile("x.gguf", shape_of_heads().bytes),))
        tuned = None if kept is None else Tuned("?", kept, 0.12, 0.0)
        option = Contender(weights, shape_of_heads(), tuned=tuned, helpers=helpers)
        return choose("it", [option], there, Wish()).candidates[0]

    for there, helpers, reason, ctx in ((roomy, lost, Unaccompanied, 0), (tight, Helpers(), HeadsLeftOut, 32768)):
        own = planned(there, helpers).placement
        assert own is not None and not own.has_heads
        kept = replace(own, threads=1, ctx=own.ctx - ctx)  # with less context there is room for heads
        found = planned(there, helpers, kept)
        assert found.placement == kept and not found.companions
        assert [type(one) for one in found.reasons[:2]] == [TunedHere, reason]
    anew = planned(roomy, Helpers(), planned(roomy, lost).placement)
    assert anew.placement is not None and anew.placement.has_heads and isinstance(anew.reasons[0], Accompanied)
    assert planned(roomy, Helpers(), replace(anew.placement, threads=1)).placement == replace(anew.placement, threads=1)


def shape_of_heads() -> ModelShape:
    """A dense model of the size of Qwen3.5 4B, with a head of its own."""
    return as_shape(DENSE)


def as_shape(model: Geometry) -> ModelShape:
    return shape_of([parse(header_bytes(metadata(model, "Q4_K_M", "none"), entries(model, "Q4_K_M")))])


DENSE = qwen35("Qwen3.5-like", Dense(2048, 24, Attention(16, 4, 128), 8192, 151936, tied=True))


def turn(drafted: int, accepted: int, gain: float, by: str = "small.gguf") -> Measurement:
    kind = DraftKind.MTP if by == OWN_HEADS else DraftKind.MODEL
    return Measurement("", 8192, (), guessed=Guessed("large.gguf", by, Drafted(kind, drafted, accepted, gain)))


def test_what_was_measured_counts_from_two_hundred_guesses_on() -> None:
    few = [turn(150, 90, 1.2), turn(90, 45, 1.8, OWN_HEADS)]
    assert learned(few, "large.gguf") == {}
    enough = [turn(900, 0, 0.1), *few, turn(150, 60, 1.4)]
    assert learned(enough, "another.gguf") == {}
    known = learned(enough, "large.gguf")
    assert known.keys() == {"small.gguf"}
    assert known["small.gguf"].acceptance == pytest.approx(0.5)
    assert known["small.gguf"].gain == pytest.approx(1.3)
    found = placed("llama-3.1-8b", machine(gpu(24)), Wish(draft=NAMED), Helpers(DRAFTER, known))
    assert found.predicted is not None and found.predicted.guesses == Guesses(
        DraftKind.MODEL, 0.5, known["small.gguf"].gain
    )
    assert "1.30 x as many tokens a second, as measured here (50% of the guesses came true)" in sentences.sentence(
        found.reasons[0]
    )


def test_where_memory_runs_out_the_companion_goes_first_and_does_not_come_back() -> None:
    there, wish = machine(gpu(24)), Wish(draft=NAMED)

    def replan(question: Question) -> Candidate:
        option = Contender(
            WeightSet("Q4_K_M", (WeightFile("large.gguf", 5 * GIB),)),
            shape("llama-3.1-8b"),
            helpers=Helpers(DRAFTER if question.wish.draft == NAMED else None),
        )
        return choose("it", [option], question.machine, question.wish).candidates[0]

    first = replan(Question(0, there, wish))
    assert first.companions and first.placement is not None
    tried = [Tried(first, on_host=False)]
    lower = next_lower(tried, Question(0, there, wish), None, replan)
    assert lower is not None and lower.rung is Rung.COMPANION
    assert lower.candidate.placement == replace(first.placement, companion=None)
    assert not lower.candidate.companions
    again = next_lower([*tried, Tried(lower.candidate, on_host=False)], Question(0, there, wish), None, replan)
    assert again is not None and not again.candidate.companions
