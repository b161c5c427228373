"""The simulated radio: who hears what and when, and that nothing but the seed decides it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from d2oc.bus.radio import JammingZone, Outage, Partition, Radio, RadioModel, Span, draws

PLAIN = RadioModel(comm_range=10.0, time_step=0.5)
LINE = np.column_stack([6.0 * np.arange(4), np.zeros(4)])  # each hears its neighbours only


def heard(model, ticks=1, position=LINE, seed=1):
    """Who heard whom, by tick: lists of (receiver, what was said)."""
    radio = Radio(model, len(position), seed)
    by_tick = []
    for tick in range(ticks + 8):
        inboxes = radio.deliver(tick)
        by_tick.append([(r, data.decode()) for r, inbox in enumerate(inboxes) for data in inbox])
        if tick < ticks:
            radio.post(tick, position, [[f"{r}{tick}".encode()] for r in range(len(position))])
    return by_tick


def test_messages_in_range_arrive_in_the_next_tick_in_the_order_of_senders():
    assert heard(PLAIN)[:3] == [[], [(0, "10"), (1, "00"), (1, "20"), (2, "10"), (2, "30"), (3, "20")], []]


def test_delay_is_rounded_up_to_ticks():
    for delay, ticks in ((0.0, 1), (0.3, 2), (0.5, 2), (0.6, 3)):
        by_tick = heard(replace(PLAIN, delay=delay))
        assert [tick for tick, messages in enumerate(by_tick) if messages] == [ticks]


def test_jitter_spreads_and_messages_are_heard_in_the_order_they_were_posted():
    by_tick = heard(replace(PLAIN, jitter=1.0), ticks=200)
    late = [tick - int(text[1:]) for tick, messages in enumerate(by_tick) for _, text in messages]
    assert set(late) <= {1, 2, 3}
    radio = Radio(replace(PLAIN, jitter=2.0), 2, 3)
    order = []
    for tick in range(60):
        order += [[int(data) for data in radio.deliver(tick)[1]]]
        radio.post(tick, LINE[:2], [[str(tick).encode()], []])
    assert all(inbox == sorted(inbox) for inbox in order)
    assert max(map(len, order)) > 1


def test_loss_grows_with_the_square_of_the_distance():
    model = replace(PLAIN, loss=0.1, loss_at_range=0.9)
    n = 4000
    for away in (0.0, 5.0, 9.9):
        radio = Radio(model, 2, 5)
        position = np.array([[0.0, 0.0], [away, 0.0]])
        arrived = 0
        for tick in range(n):
            arrived += len(radio.deliver(tick)[1])
            radio.post(tick, position, [[b"x"], []])
        expected = 0.1 + 0.8 * (away / 10) ** 2
        assert 1 - arrived / n == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n))
    assert not any(heard(replace(PLAIN, loss=1.0), ticks=20))


def test_bandwidth_is_a_budget_that_is_saved_up_for_one_message():
    model = replace(PLAIN, bandwidth=100.0, message_limit=200)  # 50 bytes a tick
    radio = Radio(model, 2, 1)
    arrived = []
    for tick in range(40):
        arrived.append(len(radio.deliver(tick)[1]))
        radio.post(tick, LINE[:2], [[b"x" * 200], []])
    assert sum(arrived) == 9  # every fourth tick
    assert radio.bytes_on_air == 200 * radio.n_sent


def test_nobody_hears_in_a_jamming_zone_while_it_lasts():
    zone = JammingZone((6.0, 0.0), 1.0, Span(0.5, 1.0))
    by_tick = heard(replace(PLAIN, jamming=(zone,)), ticks=3)
    assert all(r != 1 for r, _ in by_tick[2])
    assert (0, "11") in by_tick[2]  # but it is heard
    assert any(r == 1 for r, _ in by_tick[1])
    assert any(r == 1 for r, _ in by_tick[3])


def test_a_dead_radio_neither_sends_nor_hears():
    by_tick = heard(replace(PLAIN, outages=(Outage((1,), Span()),)))
    assert by_tick[1] == [(2, "30"), (3, "20")]


def test_a_partition_splits_the_team():
    by_tick = heard(replace(PLAIN, partitions=(Partition(((0, 1),), Span(0.0, 0.5)),)), ticks=2)
    assert by_tick[1] == [(0, "10"), (1, "00"), (2, "30"), (3, "20")]
    assert len(by_tick[2]) == 6


def test_draws_are_even_independent_and_depend_on_every_number():
    sender, receiver = (pairs.ravel().astype(np.int32) for pairs in np.mgrid[0:100, 0:100])
    one = draws(1, 2, sender, receiver, 0)
    assert one.min() >= 0
    assert one.max() < 1
    assert np.histogram(one, 10, (0, 1))[0] == pytest.approx(np.full(10, 1000), abs=150)
    others = [draws(2, 2, sender, receiver, 0), draws(1, 3, sender, receiver, 0), draws(1, 2, sender, receiver, 1),
              draws(1, 2, receiver, sender, 0)]  # fmt: skip
    for other in others:
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    order = np.random.default_rng(1).permutation(len(sender))
    assert (draws(1, 2, sender[order], receiver[order], 0) == one[order]).all()
    assert draws(2**63 - 1, 0, sender[:1], receiver[:1], 0).shape == (1,)
