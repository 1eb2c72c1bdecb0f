"""Device time by what it made: what a stopped fill leaves is of use to the next one, or lost."""

import pytest

from midfill_engine.cache.spent import Piece, Spent, unread, unwritten


class Clock:
    """Seconds that the test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spent(clock):
    return Spent(clock)


def test_a_forward_is_shared_by_rows_and_what_follows_it_belongs_to_it(spent, clock):
    spent.ran(40.0, 10, slot=5, context=4)
    clock.now = 0.010
    spent.pause()
    clock.now = 9.0  # others run
    spent.pause()
    assert (spent.reading_ms, spent.writing_ms) == pytest.approx((16, 24 + 10))


def test_a_chunk_of_the_context_writes_nothing(spent, clock):
    spent.ran(40.0, 10, slot=0, context=10)
    clock.now = 0.002
    spent.pause()
    assert (spent.reading_ms, spent.writing_ms) == pytest.approx((42, 0))


def test_each_forward_wrote_what_stands_before_the_next_ones(spent):
    spent.ran(40.0, 10, slot=0, context=5)  # three tokens, the last of which begins the next step
    spent.ran(30.0, 8, slot=7, known=1)
    assert spent.left(12) == [
        Piece(0, 5, 20.0, reads=True),
        Piece(5, 8, 20.0),
        Piece(8, 12, 30.0),
    ]


def test_other_ways_stand_nowhere(spent):
    spent.ran(40.0, 10, slot=0)
    spent.aside = True
    spent.ran(30.0, 8, slot=4, known=1)
    written, aside = spent.left(6)
    assert written == Piece(0, 6, 40.0)
    assert unwritten([aside], 0, 100) == 30


OWED = [Piece(0, 10, 100.0, reads=True), Piece(10, 14, 40.0), Piece(14, 14, 7.0)]


def test_context_rows_that_are_found_again_are_kept_the_others_lost():
    left, lost = unread(OWED, 8)
    assert lost == pytest.approx(20)
    assert left == OWED[1:]


def test_written_tokens_that_were_typed_are_kept():
    left, lost = unread(OWED, 11)
    assert lost == 0
    assert left[0] == Piece(11, 14, 30.0)


def test_a_draft_is_kept_as_far_as_it_was_agreed_with():
    assert unwritten(OWED[1:], 10, 13) == pytest.approx(10 + 7)
    assert unwritten(OWED[1:], 10, 10) == pytest.approx(40 + 7)


def test_all_is_kept_or_lost_once():
    for kept in range(12):
        left, lost = unread(OWED, kept)
        assert unread(left, 0)[1] == 0
        assert lost + unwritten(left, 0, 0) == pytest.approx(
            147 - 10 * min(kept, 10) - 10 * max(kept - 10, 0)
        )
