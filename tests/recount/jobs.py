"""Orders and changeovers of a line. Source: domain.md, «Jobs» and «Changeover»; docs/devices.md, «job»."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.recount.fact import Fact
from tests.recount.pieces import ReportedPieces

NEXT: Final = {
    ("assigned", "accept"): "accepted",
    ("assigned", "start"): "in_progress",
    ("accepted", "start"): "in_progress",
    ("paused", "start"): "in_progress",
    ("in_progress", "pause"): "paused",
    ("in_progress", "complete"): "completed",
    ("paused", "complete"): "completed",
}
FINAL: Final = ("completed", "cancelled")


@dataclass(slots=True)
class ExpectedJob:
    id: str
    product: str
    status: str = "assigned"


@dataclass(slots=True)
class ExpectedChangeover:
    before: str
    to: str
    started_at: int
    signalled_at: int
    reported_at: int  # its reported begin, until it ends


class OrderTracker:
    """Tracks the product of a line, by its orders and its machines' reports."""

    def __init__(self, line: str, note: Callable[[Fact], None]) -> None:
        self._line = line
        self._note = note
        self._jobs: dict[str, ExpectedJob] = {}
        self.running: ExpectedJob | None = None
        self.had_job = False
        self.changeover: ExpectedChangeover | None = None
        self.spans: list[tuple[str, int, int | None]] = []  # (job, since, until) in progress
        self._product: str | None = None  # what is made
        self._set_for: str | None = None  # by changeovers
        self._reported: str | None = None
        self._last_piece: int | None = None
        self._ended: int = 0
        self._setup: tuple[int, int | None] | None = None  # (the mode's beginning, the last piece before it)
        self._setup_done: int | None = None  # its first good piece
        self._in_setup = False

    @property
    def without_order(self) -> bool:
        return self.had_job and self.running is None

    def job(self, body: dict[str, Any], at: int, *, runs: bool) -> bool:
        action, job = body["action"], self._jobs.get(body["job_id"])
        if action == "assign":
            if job is not None:
                return False
            job = self._jobs[body["job_id"]] = ExpectedJob(body["job_id"], body["product"])
            self._note_job(job, at)
            return True
        if job is None or job.status in FINAL:
            return False
        after = "cancelled" if action == "cancel" else NEXT.get((job.status, action))
        if after is None:
            return False
        if after == "in_progress" and self.running is not None:
            self._enter(self.running, "completed", at)  # the demo completes one that was not completed by hand
        self._enter(job, after, at)
        if action == "cancel" and self.changeover is not None and self.changeover.to == job.product:
            self._end_changeover("abandoned", at)
        if after == "in_progress":
            self.had_job = True
            self._make(job.product, at, runs=runs)
        return True

    def _enter(self, job: ExpectedJob, status: str, at: int) -> None:
        job.status = status
        if status == "in_progress":
            self.running = job
            self.spans.append((job.id, at, None))
        elif self.running is job:
            self.running = None
            self.spans[-1] = (job.id, self.spans[-1][1], at)
        self._note_job(job, at)

    def _note_job(self, job: ExpectedJob, at: int) -> None:
        self._note(Fact("job", self._line, job.id, at, (job.status, job.product)))

    # What is made

    def reported(self, product: str | None, at: int, *, runs: bool) -> None:
        """Take over the product that machines report; while an order runs, the order decides."""
        if product is None or product == self._reported:
            return
        self._reported = product
        if self.running is None:
            self._make(product, at, runs=runs)

    def _make(self, product: str, at: int, *, runs: bool) -> None:
        before, self._product = self._product, product
        if product == before:
            return
        expected = self.changeover.to if self.changeover else self._set_for
        if product == expected:
            return
        old = self.changeover.before if self.changeover else before
        if self.changeover is None and runs and self._setup is None:
            old = None  # a change while the line runs signals nothing
        if self.changeover is not None:
            self._end_changeover("abandoned", at)
        self._set_for = product
        if old is None or old == product:
            return
        self._start_changeover(old, product, at, by_mode=self._setup is not None)
        if self._setup is not None and self._setup_done is not None:
            self._end_changeover("completed", self._setup_done)

    # Changeovers

    def request_changeover(self, body: dict[str, Any], at: int) -> bool:
        if body["action"] == "complete":
            if self.changeover is None:
                return False
            self._end_changeover("completed", at)
            return True
        before = body.get("from_product") or self._set_for
        if self.changeover is not None or before == body["to_product"]:
            return False
        self._start_changeover(before, body["to_product"], at, by_mode=False)
        return True

    def seen_setup(self, at: int, *, in_setup: bool) -> None:
        if in_setup and not self._in_setup and self._setup is None:
            self._setup, self._setup_done = (at, self._last_piece), None
        self._in_setup = in_setup

    def pieces(self, made: ReportedPieces, at: int, *, runs: bool) -> None:
        if made.doubtful_at is not None:
            self._pieces(made.hidden_total, made.hidden_good, made.doubtful_at, runs=runs, hidden=True)
            made = made._replace(total=made.total - made.hidden_total, good=made.good - made.hidden_good)
        self._pieces(made.total, made.good, at, runs=runs)

    def _pieces(self, total: int, good: int, at: int, *, runs: bool, hidden: bool = False) -> None:
        if total <= 0 and good <= 0:
            return
        self._last_piece = max(at, self._last_piece or 0)
        if self.changeover is not None:
            if hidden and at <= self.changeover.signalled_at:
                self.changeover.started_at = max(self.changeover.started_at, at)
            elif good > 0:
                self._end_changeover("completed", at)
        elif self._setup is not None:
            since, last_piece = self._setup
            if hidden and at <= since:
                self._setup = (since, max(at, last_piece or 0))
            elif runs and good > 0:
                self._setup = None
            elif good > 0 and self._setup_done is None:
                self._setup_done = at

    def _start_changeover(self, before: str | None, to: str, at: int, *, by_mode: bool) -> None:
        signalled, last_piece = (at, self._last_piece)
        if by_mode:
            assert self._setup is not None
            signalled, last_piece = self._setup
        signalled = max(signalled, self._ended)
        started = max([moment for moment in (last_piece, self._ended or None) if moment is not None], default=signalled)
        started = min(started, signalled)
        self.changeover = ExpectedChangeover(before or "", to, started, signalled, started)
        self._note(Fact("changeover", self._line, to, at, ("reported", before)))
        self._note(Fact("changeover", self._line, to, signalled, ("signalled", before)))

    def _end_changeover(self, outcome: str, at: int) -> None:
        change = self.changeover
        assert change is not None
        self._note_start(change, change.started_at)
        ended = max(at, change.signalled_at)
        self.changeover, self._ended = None, ended
        if outcome == "completed":
            self._setup = None
        self._set_for = change.to if outcome == "completed" else change.before
        self._note(Fact("changeover", self._line, change.to, at, (outcome, change.before)))

    def facts(self) -> None:
        """Note the reported begin of the running changeover; its end corrects it."""
        if self.changeover is not None:
            self._note_start(self.changeover, self.changeover.reported_at)

    def _note_start(self, change: ExpectedChangeover, at: int) -> None:
        self._note(Fact("changeover", self._line, change.to, at, ("started", change.before)))
