"""Expected history of one line: statuses, downtimes, calls, orders, changeovers, pieces and times.

Inputs are applied in order, and deadlines fire between them at their own time. Source: domain.md.
"""

from device_sim.truth.truth import Truth
from tests.recount.andon_calls import CallTracker
from tests.recount.culprits import find
from tests.recount.downtimes import DowntimeTracker, LineView
from tests.recount.fact import Fact
from tests.recount.jobs import OrderTracker
from tests.recount.listener import ReceivedInput
from tests.recount.machine_state import MachineState, machine_state_of
from tests.recount.pieces import CounterDoubts, MachineCounters
from tests.recount.plant_facts import LineFacts, PlantFacts
from tests.recount.stops import LOST, RUN, STOP, StopDetector

QUEUE_MS = 2_000  # reports that follow each other within this time may have waited in a queue

PROOF_MS = 15_000  # which report of a burst proves that a machine runs again is open: the next one is as good


class LineHistory:
    def __init__(self, plant: PlantFacts, line: LineFacts, truth: Truth) -> None:
        threshold = plant.seconds("micro_stop_seconds", 60)
        restart = plant.seconds("restart_seconds", 10)
        self.line = line
        self.facts: list[Fact] = []
        self.actions: dict[int, bool] = {}  # report's number -> whether it had an effect
        self.machine_states = {name: MachineState() for name in line.machines}
        self.calls = CallTracker(line, self.facts.append)
        self.orders = OrderTracker(line.id, self.facts.append)
        self.counters = {name: MachineCounters() for name in line.machines}
        self.doubts = {name: CounterDoubts.of(truth, machine) for name, machine in line.machines.items()}
        self.watch = StopDetector(threshold, restart)
        self.watches = {name: StopDetector(threshold, restart) for name in line.machines}
        self.downtime_tracker = DowntimeTracker(plant, line.id, self.calls, self.facts.append, threshold)
        self._received_at: dict[str, int] = {}
        self._counted_alone: dict[str, int] = {}  # when counts first came, after an absence, by no queue
        places = (*line.machines, *line.stations, "_")
        self._statuses: dict[str, tuple[object, ...]] = dict.fromkeys(places, ("offline", None))
        self._stopped_since: int | None = None  # while it is known to stand
        self._unwatched: dict[str, int] = {}  # begin of a machine's absence
        self._remembered: dict[str, MachineState] = {}  # its report before

    # Time

    def pass_time(self, until: int) -> None:
        while (at := self._due()) is not None and at <= until:
            self._now(at)
            self._fire(at)

    def _due(self) -> int | None:
        deadlines = [self.watch.due(), self.downtime_tracker.due(), self.calls.due()]
        deadlines += [watch.due() for watch in self.watches.values()]
        deadlines += [self._silent_at(name) for name in self.line.machines]
        return min((instant for instant in deadlines if instant is not None), default=None)

    def _silent_at(self, name: str) -> int | None:
        limit, received = self.line.machines[name].heartbeat_ms, self._received_at.get(name)
        return None if limit is None or received is None or not self.machine_states[name].known else received + limit

    def _now(self, at: int) -> None:
        self.downtime_tracker.now(at)

    def _fire(self, at: int) -> None:
        for name, watch in self.watches.items():
            watch.fire(at)
            if self._silent_at(name) == at:
                self._lose(name, at)
        happened = self.watch.fire(at)
        if happened == "opened":
            self.downtime_tracker.opened(at, changing=self.orders.changeover is not None)
        elif happened == "closed":
            assert self.watch.downtimes[-1][1] is not None
            self.downtime_tracker.close(self.watch.downtimes[-1][1])
            self.downtime_tracker.end()
            self.calls.downtime_over()
        if self.downtime_tracker.due() == at:
            self.downtime_tracker.fire(self._look(), at)
        if self.calls.due() == at:
            self.calls.fire(at)
        self._settle(at)

    # What is received

    def receive(self, received: ReceivedInput) -> None:
        at = received.at
        if received.kind == "unwatched":
            self._unwatch(received.body["since"], at)
            return
        self.pass_time(at)
        self._now(at)
        received_before = None if received.device is None else self._received_at.get(received.device)
        self._receive_from(received, at)
        if received.device in self.line.stations or received.device is None:
            self._receive_station(received, at)
        match received.kind:
            case "state":
                self._receive_state(received, at)
            case "counts":
                self._receive_counts(received, at, received_before)
            case "offline" | "birth":  # a birth does not report the state; the next report does
                for name in self.line.machines if received.device is None else [received.device]:
                    if name in self.machine_states:
                        self._lose(name, at)
            case "andon" | "job" | "changeover":
                self._receive_action(received, at)
            case _:
                pass
        self._settle(at)

    def _receive_from(self, received: ReceivedInput, at: int) -> None:
        """Take note that a machine lives, and of what its numbers prove."""
        name = received.device
        if name is None or name not in self.machine_states:
            return
        if received.kind != "offline" and not (received.retained and name in self._received_at):
            self._received_at[name] = at
        if received.cut_off:
            self._remembered.pop(name, None)
        elif received.connected and name in self._remembered:
            self._recall(name, at)

    def _receive_station(self, received: ReceivedInput, at: int) -> None:
        """A station is there or not; there is nothing else to show of it."""
        for name in self.line.stations if received.device is None else [received.device]:
            self._show_one(name, ("offline" if received.kind == "offline" else "idle", None), at)

    def _receive_state(self, received: ReceivedInput, at: int) -> None:
        name = received.device
        assert name is not None
        if received.retained and self._is_silent(name, at):
            return  # it only starts the wait for a sign of life
        self.machine_states[name] = machine_state_of(received.body, self.line.machines[name], self.machine_states[name])
        self._watch_again(name)
        self._see(name, at)

    def _is_silent(self, name: str, at: int) -> bool:
        limit, received_at = self.line.machines[name].heartbeat_ms, self._received_at.get(name)
        return limit is not None and received_at is not None and at - received_at >= limit

    def _recall(self, name: str, at: int) -> None:
        """Restore the last state of a machine of which no report is missing since the absence."""
        if not self.machine_states[name].known and self._remembered[name].known:
            self.machine_states[name] = self._remembered[name]
            self._watch_again(name)
            self._see(name, at)

    def _watch_again(self, name: str) -> None:
        self._unwatched.pop(name, None)
        self._remembered.pop(name, None)

    def _is_of_now(self, name: str, at: int, *, before: int | None) -> bool:
        """Return whether counts since the report before are current: after an absence, once none waited in a queue."""
        lost_at = self._unwatched.get(name)
        if lost_at is None:
            return True
        if self._counted_alone.get(name, lost_at - 1) >= lost_at:
            return True
        if before is not None and before >= lost_at and at - before >= QUEUE_MS:
            self._counted_alone[name] = at
        return False

    def _receive_counts(self, received: ReceivedInput, at: int, received_before: int | None) -> None:
        name = received.device
        assert name is not None
        if received.report is None or received.report.made is None:
            return
        counters = self.counters[name]
        is_of_now = self._is_of_now(name, at, before=received_before)
        step = counters.read(received.report.made, received.report.at)
        if step is None:
            return
        made = self.doubts[name].read(step, received.report, at)
        total = 0 if made.doubtful_at is not None else made.total  # pieces that a doubtful report hid were made earlier
        if total > 0 and not self.machine_states[name].known and is_of_now:
            # pieces prove that it runs
            self.machine_states[name].status, self.machine_states[name].cause, self.machine_states[name].broken = (
                "running",
                None,
                False,
            )
            self._watch_again(name)
            self._see(name, at)
            self._show(at, self._look(), slack=PROOF_MS)
        if name == self.line.counts_of:
            made = made.as_of(stopped_since=self._stopped_since, at=at)
            self.orders.pieces(made, at, runs=self._status == "running")

    def _receive_action(self, received: ReceivedInput, at: int) -> None:
        runs = self._status == "running"
        assert received.device is not None
        if received.kind == "andon":
            dated = received.report is not None and (received.report.seq is not None or received.report.ts is not None)
            effect = self.calls.receive(received.device, received.body, at, dated=dated)
        elif received.kind == "job":
            effect = self.orders.job(received.body, at, runs=runs)
        else:
            effect = self.orders.request_changeover(received.body, at)
        if received.report is not None:
            self.actions[received.report.number] = effect

    def _lose(self, name: str, at: int) -> None:
        """Show the machine of a lost device offline; a known stop stays one until the device reports again."""
        state = self.machine_states[name]
        self._remembered.pop(name, None)
        self.machine_states[name] = MachineState(product=state.product, broken=state.broken)
        self._see(name, at, known_stop=True)

    def _unwatch(self, since: int, now: int) -> None:
        """Apply an absence of the bridge: deadlines before it hold, machine states since then are unknown."""
        self.pass_time(since)
        self._now(since)
        for name, state in self.machine_states.items():
            if name not in self._unwatched:
                self._remembered[name] = state
            self.machine_states[name] = MachineState(product=state.product, broken=state.broken)
            self._unwatched[name] = since
            self._see(name, since)
        self.downtime_tracker.unwatched()
        self._settle(since)
        self.pass_time(now)

    # What follows

    @property
    def _status(self) -> str:
        return self.machine_states[self.line.constraint].status

    def _look(self) -> LineView | None:
        state = self.machine_states[self.line.constraint]
        if not state.known:
            return None
        no_order = state.status == "idle" and state.cause == "unknown" and self.orders.without_order
        finding = find(self.line, self.machine_states)
        no_order = no_order and finding.cause == "unknown"
        return LineView(state.status, no_order, finding, self.orders.changeover is not None)

    def _see(self, name: str, at: int, *, known_stop: bool = False) -> None:
        state = self.machine_states[name]
        watches = [self.watches[name], *([self.watch] if name == self.line.constraint else [])]
        for watch in watches:
            if not state.known:
                watch.observe(STOP if known_stop and watch.signal == STOP else LOST, at)
            else:
                watch.observe(RUN if state.status == "running" else STOP, at)

    def _settle(self, at: int) -> None:
        """Pass on the present state of the machines."""
        state = self.machine_states[self.line.constraint]
        runs = state.status == "running"
        if self.watch.signal != STOP:
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = at
        self.orders.seen_setup(at, in_setup=state.status == "setup")
        self.orders.reported(state.product, at, runs=runs)
        view = self._look()
        if view is not None and view.status != "running":
            self.downtime_tracker.observe(view, at)
        elif view is None and self.orders.changeover is not None and self.watch.down_since is not None:
            self.downtime_tracker.changed_over_unseen(at)
        elif self.watch.down_since is None and (view is not None or self.watch.signal == LOST):
            self.downtime_tracker.end()
        elif self.downtime_tracker.standing is not None and runs:
            self.downtime_tracker.standing.turn_since = self.downtime_tracker.standing.next_cause = None
        self._show(at, view)

    def _show(self, at: int, view: LineView | None, *, slack: int = 0) -> None:
        for name, state in self.machine_states.items():
            self._show_one(name, (state.status, state.cause), at, slack=slack)
        cause = self.machine_states[self.line.constraint].cause
        status = (self._status, "no_order" if view is not None and view.no_order else cause)
        self._show_one("_", status, at, slack=slack)

    def _show_one(self, name: str, status: tuple[object, ...], at: int, *, slack: int = 0) -> None:
        if status != self._statuses[name]:
            self._statuses[name] = status
            self.facts.append(Fact("status", self.line.id, name, at, status, slack))
