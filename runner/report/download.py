"""What a download brings, and how far it and the load after it are. Pure."""

from models.weights import Progress
from runner.report.words import file_size, one_line, percent, seconds
from runner.types.engine import LoadProgress
from runner.types.plan import Candidate, Plan, Terms

LARGE_DOWNLOAD = 1_000_000_000  # bytes from which on a person is asked first


def download_question(plan: Plan, candidate: Candidate, terms: Terms) -> str:
    """What a download brings, takes and costs; of one that was interrupted, what is left."""
    beside = sum(one.download_bytes for one in candidate.companions)
    size, left = file_size(candidate.file_bytes), file_size(candidate.download_bytes - beside)
    is_begun = candidate.download_bytes - beside < candidate.file_bytes
    facts = [
        f"{left} of {size} are left" if is_begun else size,
        *(f"{file_size(one.download_bytes)} for {one.name}" for one in candidate.companions if one.download_bytes),
        f"about {seconds(terms.seconds)}" if terms.seconds and terms.seconds >= 1 else "",
        f"to {terms.place}",
        f"licence {terms.licence}" if terms.licence else "",
    ]
    name = f"{one_line(plan.model.name)} {one_line(candidate.quant)}"
    return one_line(f"To download: {name}, {', '.join(filter(None, facts))}.")


def progress_line(progress: Progress) -> str:
    """One file under way."""
    return f"{one_line(progress.file)}  {progress_words(progress)}"


def progress_words(progress: Progress) -> str:
    """`4.0 GB of 16.0 GB · 25% · 50 MB/s · 4 min 00 s left`."""
    facts = [f"{file_size(progress.done)} of {file_size(progress.total)}", percent(fraction(progress))]
    if progress.rate and progress.done < progress.total:
        facts.append(f"{file_size(progress.rate)}/s")
        facts.append(f"{seconds((progress.total - progress.done) / progress.rate)} left")
    return " · ".join(facts)


def fraction(progress: Progress) -> float:
    """How much of a file is here, in 0..1; all of an empty one."""
    return progress.done / progress.total if progress.total else 1.0


def loading_line(candidate: Candidate, step: LoadProgress) -> str:
    """A load under way: `Loading Q4_K_M  62%`."""
    return f"Loading {one_line(candidate.quant)}  {percent(step.fraction)}"
