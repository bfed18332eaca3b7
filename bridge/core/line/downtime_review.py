"""The classification and confirmation of a downtime by a person. Source: DOMAIN, «Downtime».

What a person has confirmed stays; the confirmation of a named user is withdrawn only by a named user.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from bridge.core import plant
from bridge.core.line.downtime_book import DowntimeBook
from bridge.core.line.downtime_record import DowntimeRecord
from bridge.core.reports import APPLIED, Disposition, DowntimeReport, Moment, rejected, suppressed


@dataclass(frozen=True, slots=True)
class DowntimeReview:
    """Applies what people report on downtimes; `revise` reports the open one where that changes it."""

    book: DowntimeBook
    _: KW_ONLY
    reasons: plant.Plant
    revise: Callable[[Moment], None]

    def apply(self, body: DowntimeReport, *, moment: Moment) -> Disposition:
        record = self.book.find(body.downtime_id)
        if record is None:
            return rejected("unknown_downtime")
        if body.action == "classify":
            return self._classify(record, body, moment)
        if body.action == "unconfirm":
            return self._unconfirm(record, body, moment)
        if record.status == "open":
            return rejected("downtime_open")
        if record.status == "confirmed":
            return suppressed("already_confirmed")
        record.status = "confirmed"
        record.confirmed_by = moment.person
        record.notes = body.notes or record.notes
        self.book.amend(record, moment)
        return APPLIED

    def _classify(self, record: DowntimeRecord, body: DowntimeReport, moment: Moment) -> Disposition:
        if record.status == "confirmed":
            return rejected("already_confirmed")
        if body.reason_code is None:
            return rejected("incomplete")
        if self.reasons.reason(body.reason_code) is None:
            return rejected("unknown_reason")
        if record.classified == body.reason_code and body.notes in (None, record.notes):
            return suppressed("already_classified")
        record.classified = body.reason_code
        record.notes = body.notes or record.notes
        if record.status == "open":
            self.revise(moment)
        else:
            self.book.amend(record, moment)
        return APPLIED

    def _unconfirm(self, record: DowntimeRecord, body: DowntimeReport, moment: Moment) -> Disposition:
        """Withdraw a confirmation; that of a named user only by a named user."""
        if record.status != "confirmed":
            return suppressed("not_confirmed")
        named = moment.person is not None and not moment.person.claimed
        if record.confirmed_by is not None and not record.confirmed_by.claimed and not named:
            return rejected("not_allowed")
        record.status, record.confirmed_by = "closed", None
        record.notes = body.notes or record.notes
        self.book.amend(record, moment)
        return APPLIED
