"""In step over a bus: a tick ends when what the others said in it has come, or when waiting makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.bus.messages import END_OF_LOGS, VERSION, Message, encode
from d2oc.bus.radio import Radio, RadioModel
from d2oc.errors import BusError
from d2oc.runtime.network import MOST_PENDING, NetworkRadio, Patience

N_STEPS = [50, 50, 50]
PATIENCE = Patience(gather_s=5.0, tick_s=2.0, repeat_s=0.5)


def message(sender, tick, x=0.0, part=0, n_parts=1):
    place, steps_left = (x, 0.0), max(0, 50 - tick)
    return encode(
        Message(
            VERSION, sender, 0, tick, part, n_parts, place, (0.0, 0.0), 0.01, steps_left, True, [], b"", 0,
            END_OF_LOGS, {}, [],
        )
    )  # fmt: skip


class Script:
    """A bus and a clock in one: what comes when is written down before."""

    def __init__(self, *events, alive=(1, 2)):
        self.now = 0.0
        self.events = sorted(events, key=lambda event: event[0])
        self.alive = frozenset(alive)
        self.said = []
        self._news = []

    def clock(self):
        return self.now

    def publish(self, data):
        self.said.append((self.now, data))

    def take(self):
        news, self._news = self._news, []
        return news

    def wait(self, timeout_s):
        assert timeout_s > 0
        due = [event for event in self.events if event[0] <= self.now + timeout_s]
        self.now = due[0][0] if due else self.now + timeout_s
        self._happen()

    def _happen(self):
        while self.events and self.events[0][0] <= self.now:
            _, who, what = self.events.pop(0)
            if what is None:
                self.alive -= {who}
            elif what == "comes":
                self.alive |= {who}
            else:
                self._news.append((who, what))


def radio_on(script, model=None, n_steps=N_STEPS):
    simulated = Radio(model or RadioModel(np.inf, 0.5), 3, seed=1)
    return NetworkRadio(script, simulated, 0, n_steps, PATIENCE, script.clock)


def say(radio, tick, x=0.0):
    radio.post(tick, np.array([[x, 0.0]]), [[message(0, tick, x)]])


def test_a_tick_ends_when_all_have_spoken():
    script = Script((0.1, 2, message(2, 0)), (0.3, 1, message(1, 0)), (0.4, 1, message(1, 1)))
    radio = radio_on(script)
    say(radio, 0)
    assert radio.deliver(1) == [[message(1, 0), message(2, 0)]]  # by sender, whoever was faster
    assert script.now == 0.3
    assert radio.missed == 0


def test_a_tick_of_many_messages_ends_when_all_of_them_have_come():
    parts = [message(1, 0, part=part, n_parts=3) for part in range(3)]
    events = [(0.2, 1, parts[2]), (0.3, 1, parts[0]), (0.4, 1, parts[0]), (0.5, 1, parts[1])]
    script = Script((0.1, 2, message(2, 0)), *events)
    radio = radio_on(script)
    say(radio, 0)
    assert radio.deliver(1) == [[*parts, message(2, 0)]]  # in order, each once
    assert (script.now, radio.dropped["repeated"]) == (0.5, 1)


def test_who_is_ahead_is_heard_in_its_turn():
    events = [(0.1, r, message(r, tick)) for r in (1, 2) for tick in (0, 1)]
    radio = radio_on(Script(*events))
    say(radio, 0)
    assert radio.deliver(1) == [[message(1, 0), message(2, 0)]]
    say(radio, 1)
    assert radio.deliver(2) == [[message(1, 1), message(2, 1)]]


def test_who_is_gone_is_not_waited_for_and_its_last_words_are_heard():
    script = Script((0.1, 2, message(2, 0)), (0.2, 1, message(1, 0)), (0.2, 1, None), (0.3, 2, message(2, 1)))
    radio = radio_on(script)
    say(radio, 0)
    assert radio.deliver(1) == [[message(1, 0), message(2, 0)]]
    say(radio, 1)
    assert radio.deliver(2) == [[message(2, 1)]]
    assert (script.now, radio.missed) == (0.3, 0)


def test_who_is_silent_is_waited_for_once_until_it_speaks_again():
    late = message(1, 0)
    script = Script(
        *((0.1, 2, message(2, tick)) for tick in range(6)), (2.0 + 1e-3, 1, late), (2.1, 1, message(1, 2)), alive=(1, 2)
    )
    radio = radio_on(script)
    say(radio, 0)
    assert radio.deliver(1) == [[message(2, 0)]]
    assert (script.now, radio.missed) == (2.0, 1)
    say(radio, 1)
    assert radio.deliver(2) == [[message(2, 1)]]
    assert script.now == 2.0
    script.wait(0.2)
    script.wait(0.2)
    say(radio, 2)
    assert radio.deliver(3) == [[late, message(1, 2), message(2, 2)]]  # what comes late is heard late
    say(radio, 3)
    radio.deliver(4)
    assert (script.now, radio.missed) == (4.1, 2)  # it spoke, so it is waited for again


def test_an_agent_that_waits_repeats_itself():
    script = Script((1.3, 1, message(1, 0)), (1.3, 2, message(2, 0)))
    radio = radio_on(script)
    say(radio, 0)
    radio.deliver(1)
    assert script.said == [(t, message(0, 0)) for t in (0.0, 0.5, 1.0)]


def test_repeats_garbage_and_false_names_are_dropped():
    events = [(0.1, 1, message(1, 0))] * 3 + [(0.1, 1, b"nonsense"), (0.1, 1, message(2, 0)), (0.2, 2, message(2, 0))]
    radio = radio_on(Script(*events))
    say(radio, 0)
    assert radio.deliver(1) == [[message(1, 0), message(2, 0)]]
    dropped = {reason: count for reason, count in radio.dropped.items() if count}
    assert dropped == {"repeated": 2, "damaged": 1, "under another name": 1}


def test_who_tells_of_the_future_does_not_fill_the_memory():
    events = [(0.1, 1, message(1, tick)) for tick in range(10, 5010)] + [(0.2, 2, message(2, 0))]
    radio = radio_on(Script(*events))
    say(radio, 0)
    assert radio.deliver(1) == [[message(2, 0)]]
    assert len(radio._pending[1]) == MOST_PENDING
    assert len(radio._missing[1]) == MOST_PENDING


def test_the_simulated_radio_stands_in_between():
    """Agent 2 is out of range, though the network brought its message."""
    script = Script((0.1, 1, message(1, 0, 30.0)), (0.1, 2, message(2, 0, 70.0)))
    radio = radio_on(script, RadioModel(50.0, 0.5))
    say(radio, 0, 0.0)
    assert radio.deliver(1) == [[message(1, 0, 30.0)]]


def test_an_agent_whose_time_is_over_waits_for_nobody():
    script = Script()
    radio = radio_on(script, n_steps=[3, 50, 50])
    assert radio.deliver(4) == [[]]
    assert script.now == 0.0


def test_nobody_waits_for_an_agent_whose_time_is_over():
    script = Script((0.1, 2, message(2, 4)))
    radio = radio_on(script, n_steps=[50, 3, 50])
    say(radio, 4)
    assert radio.deliver(5) == [[message(2, 4)]]
    assert script.now == 0.1


def test_the_team_gathers_or_a_sentence_says_who_is_missing():
    radio_on(Script((0.5, 2, "comes"), (1.0, 1, "comes"), alive=())).gather()
    with pytest.raises(BusError, match=r"agent 0 waited 5 s and does not hear agents 1, 2: see that they run"):
        radio_on(Script(alive=())).gather()
    with pytest.raises(BusError, match="does not hear agent 2: "):
        radio_on(Script(alive=(1,))).gather()


def test_nobody_leaves_before_the_others_have_what_they_need():
    """Agent 1 flies on: that it speaks in tick 4 says that it has heard ours of tick 3, our last."""
    script = Script((0.1, 1, message(1, 3)), (0.9, 1, message(1, 4)), (0.2, 2, None))
    radio = radio_on(script, n_steps=[3, 50, 50])
    say(radio, 3)
    radio.farewell()
    assert script.now == 0.9
    assert script.said[-1] == (0.7, message(0, 3))
