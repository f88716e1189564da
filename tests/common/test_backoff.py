from edge_agender.common.backoff import Backoff


def test_ceiling_doubles_up_to_the_maximum_and_starts_again() -> None:
    backoff = Backoff(1.0, 10.0, draw=lambda: 1.0)
    assert [backoff.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next_s() == 1


def test_waits_are_spread_over_the_whole_range() -> None:
    waits = [Backoff(8.0, 8.0).next_s() for _ in range(400)]
    assert all(0 <= wait < 8 for wait in waits)
    assert min(waits) < 1
    assert max(waits) > 7


def test_maximum_below_the_minimum_does_not_shorten_the_wait() -> None:
    backoff = Backoff(5.0, 1.0, draw=lambda: 1.0)
    assert [backoff.next_s() for _ in range(2)] == [5, 5]
