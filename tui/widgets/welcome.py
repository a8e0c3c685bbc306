"""What a chat shows before its first question."""

from textual.content import Content

from runner.report.comparison import memory_table
from runner.report.sentences import summary
from runner.report.words import one_line, seconds, visible
from runner.types.service import Session


def welcome(session: Session) -> Content:
    """That it is ready, why it is placed as it is, and what it holds."""
    plan, candidate = session.plan, session.candidate
    name = (f"{one_line(plan.model.name)} {one_line(candidate.quant)}", "bold")
    lines = [
        Content.assemble(name, f" is ready after {seconds(session.loaded.load_s)}."),
        Content(visible(" ".join(summary(plan, candidate)))),
        Content(""),
        *(Content.styled(line, "$quiet") for line in memory_table(candidate, session.loaded).lines()),
        Content(""),
        Content.styled("F1 helps · / lists the commands · Esc stops an answer", "$quiet"),
    ]
    return Content("\n").join(lines)
