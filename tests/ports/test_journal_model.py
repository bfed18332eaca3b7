"""Every journal store compared with a model in plain Python, over random histories with restarts in between."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.events import Event, Standing
from bridge.ports.journal import Batch, RetentionLimits
from tests.ports.journals import JOURNALS, JournalStore
from tests.support.journal_samples import NOON, event, follow

if TYPE_CHECKING:
    from bridge.domain.records import CommittedEvent

SUBJECTS = st.sampled_from(["a", "b", "c"])
EVENTS = st.builds(lambda subject, standing: event(subject, standing=standing), SUBJECTS, st.sampled_from(Standing))
INPUTS = st.lists(st.lists(EVENTS, max_size=3), max_size=4)


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.make_store(Path(self.folder.name))
        self.journal = self.store.open()
        self.events: list[CommittedEvent] = []
        self.current: dict[StateKey, CommittedEvent] = {}
        self.checkpoints: dict[str, tuple[int, bytes]] = {}
        self.inputs = 0
        self.published = 0
        self.oldest = 1
        self.retained = dict[StateKey, EventTopic]()

    def make_store(self, folder: Path) -> JournalStore:
        raise NotImplementedError

    @rule(inputs=INPUTS, checkpoints=st.dictionaries(st.sampled_from(["l1", "l2"]), st.binary(max_size=3)))
    def commit(self, inputs: list[list[Event]], checkpoints: dict[str, bytes]) -> None:
        entries = follow(self.journal, *inputs).entries
        self.journal.commit(Batch(entries=entries, checkpoints=checkpoints))
        self.inputs += len(entries)
        self.checkpoints |= {line: (self.inputs, state) for line, state in checkpoints.items()}
        for committed in (committed for entry in entries for committed in entry.events):
            self.events.append(committed)
            if committed.standing is Standing.CURRENT:
                self.current[committed.state_key] = committed
            elif committed.standing is Standing.CLOSED:
                self.current.pop(committed.state_key, None)

    @precondition(lambda self: self.published < len(self.events))
    @rule()
    def publish(self) -> None:
        done = self.events[self.published]
        self.published += 1
        self.retained.pop(done.state_key, None)
        if done.standing is Standing.CURRENT:
            self.retained[done.state_key] = done.topic
        self.journal.mark_published(self.published, retained=[(done.state_key, self.retained.get(done.state_key))])

    @rule()
    def prune(self) -> None:
        """Prune all that may go: published, not current, and before the newest checkpoint."""
        while self.journal.prune(NOON, RetentionLimits(max_bytes=1)):
            pass
        self.oldest = self.journal.oldest_offset()
        assert self.oldest <= self.published + 1

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = self.store.open()

    @invariant()
    def agrees(self) -> None:
        assert self.journal.oldest_offset() == self.oldest
        assert self.journal.events_after(0, limit=10_000) == self.events[self.oldest - 1 :]
        replayed = max((number for number, _ in self.checkpoints.values()), default=0)
        after = self.journal.inputs_after(replayed, limit=10_000)
        assert [entry.input.number for entry in after] == list(range(replayed + 1, self.inputs + 1))
        assert self.journal.position().offset == len(self.events)
        assert list(self.journal.snapshot().events) == sorted(self.current.values(), key=lambda event: event.offset)
        assert {
            checkpoint.line: (checkpoint.number, checkpoint.state) for checkpoint in self.journal.checkpoints()
        } == self.checkpoints
        assert self.journal.last_input()[0] == self.inputs == sum(self.journal.counters().values())
        assert self.journal.published_offset() == self.published
        assert self.journal.retained_topics() == self.retained

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


def machine_of(store: Callable[[Path], JournalStore]) -> type[JournalMachine]:
    class StoreMachine(JournalMachine):
        def make_store(self, folder: Path) -> JournalStore:
            return store(folder)

    StoreMachine.TestCase.settings = settings(
        max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return StoreMachine


for implementation in JOURNALS:
    globals()[f"Test{implementation.__name__}"] = machine_of(implementation).TestCase
