"""What would run where a plan does not: another quantization of the model, and another model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.errors import DownloadError, ModelError
from models.names import catalog
from models.names.resolve import split_quant
from runner.planning import alternatives
from runner.report import sentences
from runner.service.studies import study_of
from runner.types.plan import Plan
from runner.types.wish import Wish


def instead(plan: Plan, replan: Callable[[str, Wish], Plan]) -> str:
    """Both in sentences, each with the command to type; empty if nothing runs. `replan` plans a name on the machine."""
    return " ".join(filter(None, (_other_quant(plan, replan), _other_model(plan))))


def _other_quant(plan: Plan, replan: Callable[[str, Wish], Plan]) -> str:
    """Another quantization, where one was asked for."""
    name, quant = split_quant(study_of(plan).name)
    if quant is None and plan.wish.quant is None:
        return ""
    try:
        other = replan(name, replace(plan.wish, quant=None))
    except (DownloadError, ModelError):
        return ""  # the Hub is out of reach: there is nothing more to say
    return sentences.quant_sentence(name, other) if other.chosen is not None else ""


def _other_model(plan: Plan) -> str:
    """The largest model of the family that runs well, or of the catalog if none of the family does."""
    study = study_of(plan)
    names = (study.name, plan.model.name, *(one.shape.name for one in study.sets))
    entry = next((entry for name in names if (entry := catalog.meant_by(name))), None)
    family = catalog.models_of_family(entry.name) if entry else ()
    smaller = [
        [one for one in entries if one.parameters < plan.model.parameters and one != entry]
        for entries in (family, catalog.entries())
    ]
    best = alternatives.best_of(smaller[0], plan.machine) or alternatives.best_of(smaller[1], plan.machine)
    return sentences.model_sentence(best.entry.title, best.entry.name) if best else ""
