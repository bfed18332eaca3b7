"""The random order of the suite: another one for each seed, the same for the same, modules in one piece."""

import itertools

from tests.support.random_order import shuffled

TESTS = [(module, number) for module in "abcdef" for number in range(6)]


def order(seed: int) -> list[tuple[str, int]]:
    return shuffled(list(TESTS), module_of=lambda test: test[0], seed=seed)


def test_each_seed_has_an_order_of_its_own() -> None:
    orders = [order(seed) for seed in range(5)]
    assert orders == [order(seed) for seed in range(5)]
    assert len({tuple(sequence) for sequence in [TESTS, *orders]}) == len(orders) + 1
    assert all(sorted(sequence) == TESTS for sequence in orders)


def test_the_tests_of_a_module_follow_each_other_in_another_order() -> None:
    modules = [(name, list(tests)) for name, tests in itertools.groupby(order(1), key=lambda test: test[0])]
    assert sorted(name for name, _ in modules) == list("abcdef")
    assert [name for name, _ in modules] != list("abcdef")
    assert any(tests != sorted(tests) for _, tests in modules)
