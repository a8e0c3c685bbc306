"""What a search on the Hub gave, in lines and JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.report.contract import Json
from runner.report.placement import PLACES
from runner.report.words import gib, one_line, rate
from runner.types.hit import Hit
from runner.types.plan import Candidate, Plan, Verdict

_DOWNLOADS = len("downloads")


def width_of(repos: Sequence[str]) -> int:
    """Characters of the column of names."""
    return max(map(len, repos), default=0)


def search_head(width: int) -> str:
    """The head of the lines."""
    return f"{'repository':<{width}}  {'downloads':>{_DOWNLOADS}}  on this machine"


def hit_line(hit: Hit, width: int) -> str:
    """One repository: how often it is fetched, and what would be taken of it here, or why nothing."""
    return f"{hit.repo:<{width}}  {hit.downloads:>{_DOWNLOADS},}  {_verdict(hit)}"


def _verdict(hit: Hit) -> str:
    if hit.plan is None:
        return one_line(hit.problem)
    one = _taken(hit.plan)
    if hit.plan.chosen is None:
        return f"{PLACES[Verdict.NO]}: {one.quant} lacks {gib(one.short_of_all)}"
    speed = f", about {rate(one.predicted.decode_tps)}" if one.predicted else ""
    here = "" if one.download_bytes else ", here"
    return f"{PLACES[one.verdict]}: {one.quant}, {gib(one.file_bytes)}{speed}{here}"


def _taken(plan: Plan) -> Candidate:
    """The one that would be taken; where none runs, the smallest."""
    if plan.chosen is not None:
        return plan.candidates[plan.chosen]
    return min(plan.candidates, key=lambda one: one.file_bytes)


def hit_json(hit: Hit) -> Json:
    """An entry of `search --json`."""
    found: Json = {"repo": hit.repo, "downloads": hit.downloads, "problem": hit.problem or None}
    if hit.plan is None:
        return {**found, "quant": None, "verdict": None, "bytes": None, "download_bytes": None, "decode_tps": None}
    one = _taken(hit.plan)
    return {
        **found,
        "quant": one.quant,
        "verdict": one.verdict.value,
        "bytes": one.file_bytes,
        "download_bytes": one.download_bytes,
        "decode_tps": round(one.predicted.decode_tps, 2) if one.predicted and hit.plan.chosen is not None else None,
    }
