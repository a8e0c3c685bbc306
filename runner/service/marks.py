"""What a model's plan depends on besides the machine: where it differs, another plan may be the right one."""

from __future__ import annotations

from models.errors import BadFile
from models.names.resolve import Query, resolve
from models.stores.unchanged import check_unchanged, modified_at
from runner.service.studies import weights_of
from runner.storage.paths import paths
from runner.types.plan import Plan


def marks_of(plan: Plan, name: str, quant: str | None) -> object:
    """To compare: the files that the name leads to here, and when `localrun tune` kept something last.

    None where the files of the plan are not here any more, or are others.
    """
    assert plan.chosen is not None  # it is loaded
    try:
        check_unchanged(weights_of(plan, plan.chosen))
    except BadFile:
        return None
    offer = resolve(name, Query(quant=quant))
    files = [(file.path, file.bytes, file.modified) for one in offer.sets for file in one.files]
    return files, modified_at(paths().tuned)
