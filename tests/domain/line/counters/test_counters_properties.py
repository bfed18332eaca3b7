"""True counts seen only through a register and the way of its reports; and samples that make no sense at all."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.domain.line.counters.counter_table import RegisterLimits
from tests.domain.line.counters.counter_reader import WORD, CounterReader, reader
from tests.domain.line.oracles import counters as oracle

steps = st.lists(
    st.builds(
        oracle.ProductionStep,
        seconds=st.integers(1, 30),
        share=st.sampled_from([0.0, 0.0, 0.6, 0.8, 1.0]),
        event=st.sampled_from(["none"] * 6 + ["reset", "power cut", "power cut, kept", "glitch", "dip"]),
        delivery=st.sampled_from(["live"] * 4 + ["queued"] * 3 + ["lost", "twice"]),
    ),
    max_size=40,
)


@given(
    first=st.integers(0, 2**17),
    schedule=steps,
    modulus=st.sampled_from([None, WORD, 2**32]),
    signed=st.booleans(),
    dated=st.booleans(),
    boots=st.sampled_from(["new ids", "births", "none"]),
)
@settings(max_examples=400, deadline=None)
def test_a_true_count_is_recovered_from_what_its_register_shows(
    first: int, schedule: list[oracle.ProductionStep], modulus: int | None, *, signed: bool, dated: bool, boots: str
) -> None:
    """Over restarts, bursts, lost and doubled reports, wraps, resets, glitches and dips the count is the register's.

    Only pieces made before a reset and never reported are missing. A device that repeats its boot id is as well
    understood as one that has a new one each time, where a birth comes before its reports.
    """
    ledger = oracle.CountingMachine(first, schedule, modulus=modulus, signed=signed and modulus is not None).ledger
    assume(boots != "none" or not (ledger.power_cuts and ledger.wraps))
    counter = CounterReader(RegisterLimits(modulus=modulus, max_rate_per_minute=oracle.MAX_RATE))
    boot = 1
    for sample in ledger.samples:
        if boots == "none" and sample.boot != boot:
            counter.interrupt()
        if boots == "births" and sample.boot != boot:
            counter.restart()
        boot = sample.boot
        counter.read(
            sample.shown,
            sample.received_ms / 1000,
            dated=sample.made_ms / 1000 if dated else None,
            boot={"new ids": sample.boot, "births": 1, "none": None}[boots],
        )
    assert counter.register is not None
    assert counter.register.held_pieces == 0
    if counter.estimated and ledger.power_cuts and ledger.wraps:
        return  # a register that wraps over a power cut that it survived: reported as an estimate
    assert counter.total == ledger.made - ledger.unseen
    if ledger.unseen_by_power_cut:
        assert counter.estimated
    if not ledger.resets and not ledger.power_cuts and modulus != WORD:
        assert not counter.estimated


@given(
    values=st.lists(st.tuples(st.integers(-(2**20), 2**20), st.integers(0, 100_000)), min_size=1),
    modulus=st.sampled_from([None, WORD, 100, 2]),
)
@settings(max_examples=300, deadline=None)
def test_nothing_is_counted_twice_or_dropped_in_silence(values: list[tuple[int, int]], modulus: int | None) -> None:
    """For any register: unflagged pieces were possible, and held pieces stay held, are released or are refused."""
    counter = reader(modulus)
    at = held = 0
    unflagged = allowed = 0.0
    for value, elapsed in values:
        at += elapsed
        result = counter.read(value, at / 1000)
        allowed += 600 * elapsed / 60_000 + 10
        assert result.delta >= 0
        assert min(result.released, result.refused, result.register.held_pieces) >= 0
        unflagged += 0 if result.estimated else result.delta
        assert unflagged <= allowed
        assert result.since <= result.until <= at
        if held and result.kind != "held":
            assert result.released + result.refused >= held
        if held and result.kind == "held":
            assert result.refused + result.register.held_pieces >= held
        held = result.register.held_pieces
