"""What a run over documents has done, and how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from retriever.records import Failure


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a run did, in documents; ``relinked`` are those of the unchanged whose link is another
    than before, ``skipped`` files of kinds that are not read, and links to folders.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    relinked: int = 0
    removed: int = 0
    failed: tuple[Failure, ...] = ()
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is: ``stage`` is ``documents`` or ``index``; ``item`` is being worked on."""

    stage: str
    done: int
    total: int
    item: str


Progress = Callable[[Step], None]


def no_progress(step: Step) -> None:
    """For runs that nobody watches."""


@dataclass(slots=True)
class Tally:
    """A report in the making."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)

    def report(self) -> IngestReport:
        return IngestReport(
            added=self.counts["added"],
            changed=self.counts["changed"],
            unchanged=self.counts["unchanged"],
            relinked=self.counts["relinked"],
            removed=self.counts["removed"],
            failed=tuple(self.failed),
            skipped=self.counts["skipped"],
        )
