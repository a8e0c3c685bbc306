"""Placements that may beat the planner's, one variable changed at a time. Pure but for the rehearsal it is handed.

The speed model ranks; between placements that it finds nearly as good only a measurement decides (`localrun tune`).
What differs in kind is worth one: other devices, layers against parts of layers on the host, the length of an ubatch,
the threads of a host that computes, and whether its weights are mapped. What was wished is never changed, nor is the
context, the cache's type or who guesses, which are no question of speed alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from models.headers.shape import ModelShape
from runner.cost.laid_out import LaidOut, layout_in
from runner.cost.layout import Layout
from runner.planning import search
from runner.planning.beside import Beside, within
from runner.planning.layouts import layouts
from runner.planning.loading import placement_of
from runner.planning.mix import wait_for
from runner.planning.placement import Placed, Rehearser, Standing, confirmed, placed_as, problem_of
from runner.planning.problem import Problem
from runner.planning.search import Proposal
from runner.types.drafts import DraftKind
from runner.types.exchange import Exchange, Wait
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, Source
from runner.types.wish import Wish

_NEARLY = 1.6  # times the best's time: what is predicted to be slower still is not worth a load
_MOST_LAYOUTS = 4
_UBATCHES = (2, 4, 0.5)  # times the one there is
_LEAST_UBATCH = 64
_LOAD_MODES = ("mmap", "none")
_PROMPTS, _LEAST_PROMPT = (4096, 2048, 1024, 512, 256), 128  # tokens that may be read for a measurement
_LEAST_ANSWER, _MOST_ANSWER = 16, 64


class Variable(StrEnum):
    """What a rival may differ in, what gains most first; the values are fields of a Placement, but for the first."""

    LAYOUT = "layout"
    THREADS = "threads"
    UBATCH = "ubatch"
    LOAD_MODE = "load_mode"


@dataclass(frozen=True, slots=True)
class Rival:
    """A placement that fits, and its standing: bytes, speeds and who vouches for them."""

    placement: Placement
    standing: Standing

    @property
    def proposal(self) -> Proposal:
        """The layout with its consequences."""
        return self.standing.proposal


@dataclass(frozen=True, slots=True)
class Contest:
    """What rivals compete for: a problem, what was wished, and who rehearses them (None: nobody).

    What guesses `beside` them is the same for all, and no part of the problem.
    """

    problem: Problem
    wish: Wish
    rehearse: Rehearser | None = None
    beside: Beside | None = None

    def rival(self, placement: Placement) -> Rival | None:
        """The placement on this machine; None where it does not fit, or names devices that are not here.

        A model's own heads do not guess over several devices.
        """
        placement = replace(placement, companion=self.beside.companion if self.beside else None)
        if placement.has_heads and len(placement.devices) > 1:
            return None
        by_id = {device.id: device for device in self.problem.machine.devices}
        if not by_id.keys() >= set(placement.devices):
            return None
        devices = tuple(by_id[name] for name in placement.devices)
        layout = layout_in(self.problem.blocks, devices, placement)
        if placement.layers_total != len(layout.layers):
            return None
        proposal = self._proposal(LaidOut(self.problem.machine, placement, self.problem.blocks, layout))
        said = self.rehearse(placement) if self.rehearse else None
        standing = confirmed(self.problem, proposal, said) if said else Standing(proposal, Source.FORMULA)
        is_vouched = said is not None or not layout.is_by_tensor or self.wish.split_mode is not None
        return Rival(placement, standing) if standing.fits and is_vouched else None

    def placed(self, rival: Rival) -> Placed:
        """It as a candidate's placement, with all that guesses beside it."""
        placed = replace(placed_as(self.problem, self.wish, rival.standing), placement=rival.placement)
        return self.beside.added(placed) if self.beside else placed

    def _proposal(self, there: LaidOut) -> Proposal:
        speeds = there.speeds()
        wait = wait_for(self.problem.mix(there.settings), speeds)
        return replace(search.weigh(self.problem, there.settings, there.layout), speeds=speeds, wait=wait)


def contest_of(
    shape: ModelShape, machine: Machine, wish: Wish, rehearse: Rehearser | None, own: Placed | Candidate
) -> Contest:
    """For what the planner would place as its `own`, and with the companion that this has."""
    companion = own.placement.companion if own.placement else None
    if companion is None:
        wish = wish if wish.draft in (None, DraftKind.OFF) else replace(wish, draft=DraftKind.LOOKUP)
        return Contest(problem_of(shape, machine, wish), wish, rehearse)
    if companion.kind is DraftKind.MTP:
        wish = replace(wish, draft=DraftKind.MTP)
    guesses = own.predicted.guesses if own.predicted else None
    beside = Beside(companion, own.companions[0], guesses, within(machine, wish))
    return Contest(problem_of(shape, beside.rest, wish), wish, rehearse, beside)


# ---- who


def rivals(contest: Contest, best: Rival, variable: Variable, longest: int) -> Iterator[Rival]:
    """Those that differ from the `best` so far in one variable and fit, the most promising first.

    `longest` is the prompt that they are measured with: longer ubatches are no different to it.
    """
    for placement in dict.fromkeys(_placements(contest, best, variable, longest)):
        if (found := contest.rival(placement)) and found.placement != best.placement:
            yield found


def _placements(contest: Contest, best: Rival, variable: Variable, longest: int) -> Iterator[Placement]:
    placement, layout, wish = best.placement, best.proposal.layout, contest.wish
    computes = not layout.is_whole  # the host, at least for a part
    match variable:
        case Variable.LAYOUT if wish.gpu_layers is None and wish.tensor_split is None:
            yield from _other_layouts(contest, best)
        case Variable.UBATCH if wish.ubatch is None:
            yield from _other_ubatches(contest, best, min(longest, placement.ctx))
        case Variable.THREADS if wish.threads is None and computes:
            cores = contest.problem.machine.cores
            yield from (replace(placement, threads=count) for count in (cores, cores - 1, cores // 2) if count > 0)
        case Variable.LOAD_MODE if computes:
            yield from (replace(placement, load_mode=mode) for mode in _LOAD_MODES)


def _other_layouts(contest: Contest, best: Rival) -> Iterator[Placement]:
    """The best of each other kind of layout, for the same settings."""
    problem, settings = contest.problem, best.proposal.settings
    kinds: dict[object, Proposal] = {}
    for layout in layouts(problem, settings):
        found = search.weigh(problem, settings, layout)
        kind = _kind(layout)
        if not found.missing and (kind not in kinds or found.seconds < kinds[kind].seconds):
            kinds[kind] = found
    kinds.pop(_kind(best.proposal.layout), None)
    near = [one for one in kinds.values() if one.seconds < _NEARLY * best.proposal.seconds]
    for one in sorted(near, key=lambda one: one.seconds)[:_MOST_LAYOUTS]:
        yield placement_of(problem, one, contest.wish)


def _kind(layout: Layout) -> object:
    """Equal for layouts that differ in numbers only: their devices, and what of the model is not on them.

    Parts that leave the first layers are another kind than parts that leave the last.
    """
    touched = layout.touched
    on_host = layout.layers_on_host > 0, bool(touched), bool(touched) and min(touched) == 0
    return layout.split_mode, layout.sequential, tuple(device.id for device in layout.devices), on_host


def _other_ubatches(contest: Contest, best: Rival, longest: int) -> Iterator[Placement]:
    """With the same layout where it leaves room for the buffers, else with the best that does."""
    problem, placement = contest.problem, best.placement
    for times in _UBATCHES:
        ubatch = int(times * placement.ubatch)
        if not _LEAST_UBATCH <= ubatch <= longest or ubatch == min(placement.ubatch, longest):
            continue
        settings = replace(best.proposal.settings, ubatch=ubatch)
        if not search.weigh(problem, settings, best.proposal.layout).missing:
            yield replace(placement, ubatch=ubatch)
        elif other := search.best(problem, settings):
            yield placement_of(problem, other, contest.wish)


# ---- how they are compared


def exchange_for(rival: Rival, seconds: float) -> Exchange:
    """The request that all are measured with: as long as the rival answers in so many seconds, within bounds.

    Half of the time is for the prompt: a long one tells more about ubatches.
    """
    speeds, ctx = rival.proposal.speeds, rival.placement.ctx
    fitting = (size for size in _PROMPTS if size <= ctx // 2 and size / speeds.prefill_tps(size) <= seconds / 2)
    prompt = next(fitting, min(_LEAST_PROMPT, ctx // 2))
    answer = int(speeds.decode_tps(prompt) * seconds / 2)
    return Exchange(0, prompt, max(_LEAST_ANSWER, min(_MOST_ANSWER, answer)))


def as_measured(rival: Rival, asked: Exchange, prefill_tps: float, decode_tps: float) -> Wait:
    """The mean wait of the mix, where one request was as fast as measured instead of as predicted."""
    speeds, wait = rival.proposal.speeds, rival.proposal.wait
    prompt_s = wait.prompt_s * (asked.prompt / prefill_tps) / speeds.prompt_seconds(asked)
    return replace(
        wait, prompt_s=prompt_s, answer_s=wait.answer_s * asked.answer / decode_tps / speeds.answer_seconds(asked)
    )
