"""Downtimes of an absence, rebuilt once its history is known. Source: domain.md, «Time» and «Downtime».

A downtime that is over is reported closed, with its true times, and raises no call. One that still lasts opens with its
true start; the wait for its call counts from there.
"""

from collections.abc import Sequence

from bridge.domain.line.downtime.downtimes import Downtimes
from bridge.domain.line.downtime.record import DowntimeRecord
from bridge.domain.line.downtime.split import SplitState
from bridge.domain.line.downtime.stop_analysis import StopAnalysis, analyze_stop
from bridge.domain.line.downtime.stop_tracker import StopChange, StopChangeKind
from bridge.domain.line.downtime.timeline import (
    DOWN_PHASES,
    Observation,
    Timeline,
    find_downtime_end,
    find_next_downtime,
)
from bridge.domain.line.output.oee_state import TimeStretch
from bridge.domain.line.output.oee_window import TimeClass
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis


class RebuildableDowntimes(Downtimes):
    """The downtimes of one line, including those of stops that were not observed."""

    @property
    def open_id(self) -> str | None:
        return None if self._state.open is None else self._state.open.downtime_id

    def mark_unwatched(self) -> None:
        """Mark the open downtime as unobserved; drop a pending switch, which is not known to last."""
        self._drop_split()
        if self._state.open is not None:
            self._state.open.unwatched = True

    def rebuild(
        self, timeline: Timeline, *, open_before: str | None, changeover_since: Millis | None, moment: Moment
    ) -> StopChange | None:
        """Apply the stops of a timeline that leads up to now.

        Returns the end of the downtime that was open until now, if it proves to be over.
        """
        stops = timeline.changes
        ends = [
            self._apply_past_change(
                timeline, index, open_before=open_before, changeover_since=changeover_since, moment=moment
            )
            for index in range(len(stops))
        ]
        current_stop = timeline.observations
        if not stops:  # the downtime open before the absence lasts
            self._replay_findings(current_stop, until=moment.at, changeover_since=changeover_since, moment=moment)
        ends.append(self._retract_unfounded(timeline, moment))
        if self._state.open is not None and timeline.stops.state.phase not in DOWN_PHASES:
            ends.append(self._retract(self._state.open, self._state.open.started_at, moment))
        if self._state.open is None and current_stop:
            analysis = self._analyze(current_stop, changeover_since)
            self._state.pending, self._state.split = analysis.findings, analysis.split
        elif self._state.open is None:
            self._state.pending, self._state.split = None, SplitState()
        return next((end for end in reversed(ends) if end is not None), None)

    def add_lost_time(
        self, timeline: Timeline, moved: Sequence[TimeStretch], *, changeover_since: Millis | None, moment: Moment
    ) -> None:
        """Assign lost time that became known afterwards to downtimes, where none covers it yet."""
        for start, end in self._uncovered_spans([stretch for stretch in moved if stretch.time_class is TimeClass.DOWN]):
            if self._registry.extend(start, end, moment):
                continue
            observations = next(
                (stop.observations for stop in timeline.changes if stop.change.end > start and stop.observations),
                timeline.observations,
            )
            self._add(start, end, observations, changeover_since=changeover_since, moment=moment)

    def _uncovered_spans(self, lost: Sequence[TimeStretch]) -> list[tuple[Millis, Millis]]:
        """Return the spans that no downtime covers."""
        parts: list[tuple[Millis, Millis]] = []
        for stretch in sorted(lost, key=lambda stretch: stretch.start):
            if parts and parts[-1][1] == stretch.start:
                parts[-1] = parts[-1][0], stretch.end
            else:
                parts.append((stretch.start, stretch.end))
        for record in self._registry.kept_downtimes():
            since, until = record.started_at, record.ended_at
            later_parts = [(max(start, until), end) for start, end in parts] if until is not None else []
            parts = [(start, min(end, since)) for start, end in parts] + later_parts
            parts = sorted({(start, end) for start, end in parts if start < end})
        return parts

    def _apply_past_change(
        self,
        timeline: Timeline,
        index: int,
        *,
        open_before: str | None,
        changeover_since: Millis | None,
        moment: Moment,
    ) -> StopChange | None:
        """Apply a stop change of the past. Returns the end of a downtime that was assumed to last."""
        stop = timeline.changes[index]
        match stop.change.kind:
            case StopChangeKind.MINOR:
                return self._apply_minor(timeline, index, changeover_since=changeover_since, moment=moment)
            case StopChangeKind.CROSSED:
                return self._apply_crossed(timeline, index, changeover_since=changeover_since, moment=moment)
            case StopChangeKind.ENDED if index > 0:
                return None  # applied with its CROSSED change
            case StopChangeKind.ENDED:  # the downtime was open before
                return self._end_downtime(
                    stop.observations, stop.change, open_before, changeover_since=changeover_since, moment=moment
                )

    def _apply_minor(
        self, timeline: Timeline, index: int, *, changeover_since: Millis | None, moment: Moment
    ) -> StopChange | None:
        """Report a minor stop, or the downtimes that were opened during it as minor stops."""
        stops, stop = timeline.changes, timeline.changes[index]
        if not self._opened_within(stop.change.start, stop.change.end):
            self._state.pending = self._analyze(stop.observations, changeover_since).findings
            self._add_minor_stop(stop.change, moment, estimated=True)
        return self._retract_parts(stop.change, before=find_next_downtime(stops[index:]), moment=moment)

    def _apply_crossed(
        self, timeline: Timeline, index: int, *, changeover_since: Millis | None, moment: Moment
    ) -> StopChange | None:
        """Report a downtime that is over, or open the one that lasts.

        Returns the end of the one that was opened meanwhile because the line was assumed stopped.
        """
        state, stop = self._state, timeline.changes[index]
        start, ended = stop.change.start, find_downtime_end(timeline.changes[index:])
        parts = self._opened_within(start, None if ended is None else ended.start)
        if parts:
            opened = parts[0]
            self._registry.correct_start(opened, start, moment)
            if ended is None:
                self._replay_findings(
                    stop.observations, until=moment.at, changeover_since=changeover_since, moment=moment
                )
                return None
            return self._end_downtime(
                stop.observations, ended, opened.downtime_id, changeover_since=changeover_since, moment=moment
            )
        if ended is not None:
            self._add(start, ended.start, stop.observations, changeover_since=changeover_since, moment=moment)
            return None
        mistaken = state.open  # opened before this stop began: the line has run since
        end_of_open = None if mistaken is None else self._retract(mistaken, mistaken.started_at, moment)
        if state.open is None:
            analysis = self._analyze(stop.observations, changeover_since)
            state.pending, state.split = analysis.findings, analysis.split
            unwatched = not timeline.is_known_since(start)
            self._open(stop.change, changeover=changeover_since is not None, moment=moment, unwatched=unwatched)
            self._complete_due(moment.at, moment)
        return end_of_open

    def _opened_within(self, start: Millis, end: Millis | None) -> list[DowntimeRecord]:
        """Return the downtimes opened while the line was assumed stopped, whatever their status now."""
        return [
            record
            for record in self._registry.kept_downtimes()
            if start <= record.started_at and (end is None or record.started_at < end)
        ]

    def _retract_parts(self, minor: StopChange, *, before: Millis | None, moment: Moment) -> StopChange | None:
        """Report every part of a downtime that proves to be a minor stop as one, up to the next downtime.

        A part that began when the line was already running gets zero length.
        """
        end_of_open, parts = None, self._opened_within(minor.start, before)
        ends = [*(min(part.started_at, minor.end) for part in parts[1:]), minor.end]
        for part, ended_at in zip(parts, ends, strict=False):
            end_of_open = self._retract(part, max(part.started_at, ended_at), moment) or end_of_open
        return end_of_open

    def _retract_unfounded(self, timeline: Timeline, moment: Moment) -> StopChange | None:
        """Report downtimes that began since `timeline` did, but are not in it, as minor stops of zero length."""
        end_of_open, spans = None, timeline.downtime_spans()
        for record in self._opened_within(timeline.since, None):
            if not any(start <= record.started_at < end for start, end in spans):
                end_of_open = self._retract(record, record.started_at, moment) or end_of_open
        return end_of_open

    def _retract(self, record: DowntimeRecord, ended_at: Millis, moment: Moment) -> StopChange | None:
        """Report a downtime that proves to be none as a minor stop; a confirmed one stays unchanged."""
        if record.status == "confirmed":
            return None
        record.micro_stop = True
        if record is self._state.open:
            self._close(ended_at, moment, estimated=True)
            return StopChange(StopChangeKind.ENDED, ended_at, moment.at)
        record.ended_at = ended_at
        self._registry.amend(record, moment, estimated=True)
        return None

    def _add(
        self,
        start: Millis,
        end: Millis,
        observations: Sequence[Observation],
        *,
        changeover_since: Millis | None,
        moment: Moment,
    ) -> None:
        """Report a downtime that is over."""
        analysis = self._analyze(observations, changeover_since)
        record = DowntimeRecord(
            downtime_id=self._registry.next_id(),
            started_at=start,
            findings=analysis.findings,
            changeover=changeover_since is not None and analysis.split.changeover,
            status="closed",
            ended_at=end,
        )
        self._registry.add(record, moment)

    def _end_downtime(
        self,
        observations: Sequence[Observation],
        ended: StopChange,
        downtime_id: str | None,
        *,
        changeover_since: Millis | None,
        moment: Moment,
    ) -> StopChange | None:
        """End the downtime of a stop, and its split parts. Returns `ended`; None if the shift already ended it."""
        ended_at, open_before = ended.start, self._state.open
        self._replay_findings(observations, until=ended_at, changeover_since=changeover_since, moment=moment)
        if self._state.open is not None and self._state.open.started_at < ended_at:
            self._close(ended_at, moment, estimated=True)
            return ended
        if self._state.open is not None:  # a changeover began in unobserved time, and the line was running then
            self._retract(self._state.open, self._state.open.started_at, moment)
        if downtime_id is not None:
            self._registry.correct_end(downtime_id, ended_at, moment)
        return None if open_before is None else ended

    def _replay_findings(
        self, observations: Sequence[Observation], *, until: Millis, changeover_since: Millis | None, moment: Moment
    ) -> None:
        """Replay observations of the open downtime, each at its instant; the downtime lasted up to `until`."""
        if self._state.open is None:
            return
        changeover = changeover_since is not None and self._state.split.changing  # one from before; else it is current
        started_at = self._state.open.started_at
        for index, observation in enumerate(observations):
            self._complete_due(min(observation.at, until), moment)
            if any(following.at < started_at for following in observations[index + 1 : index + 2]):
                continue  # observed of the previous part, which a changeover ended at once
            if observation.diagnosis is None or observation.at >= until:
                continue
            if observation.diagnosis.status != "offline":
                self._observe_stop(observation.diagnosis, changeover=changeover, at=observation.at, moment=moment)
            elif not observation.diagnosis.known_stopped:
                self._drop_split()  # the pending switch is not known to last
        self._complete_due(until, moment)

    def _complete_due(self, until: Millis, moment: Moment) -> None:
        record, split = self._state.open, self._state.split
        if record is not None and split.since is not None and split.since + self._micro_ms <= until:
            self._complete_split(record, split, moment, unwatched=record.unwatched)

    def _analyze(self, observations: Sequence[Observation], changeover_since: Millis | None) -> StopAnalysis:
        return analyze_stop(observations, changeover_since=changeover_since, call_rule=self._call_rule)
