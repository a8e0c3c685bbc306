"""Without a screen: one answer to stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import ExitCode
from runner.cli.files import check_room, tell_sizes
from runner.cli.kept_turns import KeptTurns
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import Prompt, sampling_of
from runner.cli.turn import Outcome, Show, as_json_lines, as_text, unseen
from runner.report.conversation import where_json
from runner.report.turn import call_line, cut_short

if TYPE_CHECKING:
    from runner.client.attached import AttachedService
    from runner.service.service import LocalService
    from runner.types.service import Answering


def one_answer(service: LocalService | AttachedService, options: Options, output: Output, prompt: Prompt) -> ExitCode:
    """One answer to stdout, as text, JSON or JSON lines."""
    sampling = sampling_of(options, service)
    session = open_model(service, options, output)
    turns = KeptTurns((service, session), options, output)
    if prompt.files or options.continued is not None:
        check_room(turns, prompt, sampling, tell_sizes(session, prompt.files, output))
    answer = turns.ask(prompt.text, sampling, _show(options, output))
    if options.json or options.jsonl:
        kept = {"conversation": where_json(turns.log.path, turns.log.conversation) if turns.log.is_kept else None}
        output.json({**answer.json(session), **kept})
    else:
        end_line(answer, output)
    if short := cut_short(answer.last, session.loaded.ctx, is_thinking=not (answer.text or answer.calls)):
        output.note(short)
    tell(session, answer, options, output)
    turns.leave()
    return answer.exit_code or turns.exit_code


def _show(options: Options, output: Output) -> Show:
    if options.jsonl:
        return as_json_lines(output)
    return unseen(output) if options.json else as_text(output)


def end_line(answer: Outcome, output: Output) -> None:
    """An answer ends its line; each of its calls has one."""
    if answer.text and not answer.text.endswith("\n"):
        output.answer("\n")
    for call in answer.calls:
        output.answer(f"{call_line(call)}\n")


def tell(session: Answering, answer: Outcome, options: Options, output: Output) -> None:
    """The numbers that were asked for, and why it failed."""
    if options.stats:
        from runner.report.comparison import stats_lines

        for line in stats_lines(session, answer.last):
            output.note(line)
    if answer.error is not None:
        output.error(str(answer.error))
