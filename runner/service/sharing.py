"""A benchmark as a file to send. Edge: the clock, the disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from models.errors import UsageError
from models.stores.replacing import replace_file
from runner.client.devices import runtime
from runner.client.process import EngineProcess
from runner.client.session import EngineSession
from runner.hardware import nvml
from runner.report.contract import Json
from runner.report.record import Circumstances, bench_record, text_of
from runner.service.studies import study_of
from runner.types.measurement import Benchmark


def record_of(engine: EngineProcess, session: EngineSession, measured: Benchmark) -> Json:
    """The record of a benchmark that `session` ran on `engine`."""
    driver = nvml.driver()
    when = Circumstances(
        datetime.now(UTC).date().isoformat(), runtime(engine).version, driver.version if driver else None
    )
    return bench_record(measured, session, study_of(session.plan).set_of(session.candidate.files), when)


def write(path: Path, record: Json) -> None:
    """The file, whole or not at all. UsageError where it cannot be written."""
    try:
        replace_file(path, text_of(record).encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None
