r"""One agent: what it is told comes in as bytes, what it says goes out as bytes, and it knows nothing else.

`Agent.step` takes where the vehicle is and what the radio heard, and gives a command and what the radio should say.
There is no socket, no clock and no randomness inside, so the same object runs in a simulation, in a process of its own,
and beside an autopilot, and what it does follows from what it was given.

In one step it (1) takes in what it heard, (2) books what it has treated since the last step (stage B), (3) chooses a
goal and an input (stage A), (4) says where it is, what it treated, and what others told it they lack (stage C).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2oc.arrays import Flags, Floats, Ints, Longs
from d2oc.bus.messages import (
    END_OF_LOGS,
    LONGEST_MESSAGE_BYTES,
    VERSION,
    Message,
    Refused,
    Run,
    columns_of,
    decode,
    encode,
    further_part,
    log_of,
    n_batches,
    run_of,
    size_of,
    size_of_run,
)
from d2oc.control.alone import write_down
from d2oc.control.controller import Crew
from d2oc.control.d2oc import Law, Team
from d2oc.control.giving_way import SetAside, no_weight_aside
from d2oc.control.pilot import Brief, Pilot
from d2oc.control.team_knowledge import TOLD_AGENTS
from d2oc.density.moving import Moves
from d2oc.ledger import WEIGHT_BITS, Belief, Logs, learn, new_belief, new_logs, quantised, quantum_of, with_capacity
from d2oc.memory import packed, unpacked
from d2oc.transport.moving_tree import MovingTree
from d2oc.transport.nearest_mass import SampleTree, SearchSpace, sample_tree, search_space

TOLD_LOGS = 32
"""Logs of which one message says how much is known; a larger team takes turns."""
ROW_INTERVAL_TICKS = 5
"""A piece of a whole known log, asked for or not, is sent this often."""
REPEATED_BATCHES = 4
"""An agent says its newest batches so often, for those who missed the first time."""
EAGER_LOGS = 16
"""Up to this many known logs, news is passed on at once."""
LONGEST_GAP = 16
"""A longer silence of another agent is no sign of loss but of distance. [ticks]"""
PATIENCE_GAPS = 6
"""Another agent is told what it lacks until it has been silent for so many times its usual gap."""
MOST_MESSAGES = 6
"""Messages of one tick: as many as it takes, on average, for another agent to hear one, but no more than this."""
GAP_MEMORY = 4
"""Messages over which the usual gap is averaged."""
UNTOLD = 1 << 30
"""In the place of a number of batches."""
AHEAD_BATCHES = 4096
"""Batches farther than this beyond the first that is missing are not kept."""
LONGEST_WAY = 1000
"""Places that a law may tell of its way."""
PIECE_BYTES = 400
"""Size of such a piece."""
HEAD_BYTES = 106
"""At most, for a message without `sightings`, `way`, `known` and `runs`."""
LARGEST_BATCH_BYTES = LONGEST_MESSAGE_BYTES - HEAD_BYTES - 16 * TOLD_LOGS - 32 * TOLD_AGENTS - 16 * LONGEST_WAY
"""Of one step's consumption; nobody can be told of more."""
SPARE_BATCHES = 64
"""Room for batches and entries at the start; it doubles when it is full."""


class Ground(NamedTuple):
    """What is to be treated, known to all before take-off; shared and never changed."""

    tree: SampleTree
    weights: Floats
    """Weights by slot, multiples of the quantum, shape (N,)."""
    slot: Ints
    """Slot of each sample, shape (N,)."""
    quantum: float
    """Unit of weights."""
    moves: Moves | None = None
    """How the samples move; None: they stand still."""


def ground_of(points: Floats, weights: Floats, n_agents: int, moves: Moves | None = None) -> Ground:
    """What a team of `n_agents` is to treat: samples, shape (N, 2) [m], their weights, and how they move."""
    quantum = quantum_of(weights, n_agents)
    tree = sample_tree(points, weights)
    slot = np.empty(len(weights), np.int32)
    slot[tree.sample] = np.arange(len(weights), dtype=np.int32)
    ground = Ground(tree, quantised(weights, quantum)[tree.sample], slot, quantum, moves)
    for array in (*tree, ground.weights, slot):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)  # as in the memory that processes share, for which nothing is compiled twice
    return ground


class Scratch(NamedTuple):
    """Working memory of one step."""

    space: SearchSpace
    aside: SetAside
    moving: MovingTree


def scratch_for(ground: Ground) -> Scratch:
    """Working memory for agents on this ground."""
    return Scratch(
        search_space(ground.tree), no_weight_aside(len(ground.weights)), MovingTree(ground.tree, ground.moves)
    )


@dataclass(frozen=True, eq=False)
class AgentSetup:
    """What one agent knows of itself before take-off."""

    number: int
    n_steps: int
    """Steps of operation."""
    alpha: float
    """Mass of one step."""
    law: Law
    """Gains of its one kind."""
    position_states: tuple[int, int]
    time_step: float
    """Control period. [s]"""
    negligible: int
    """A belief with no more quanta than this counts as empty."""
    brief: Brief
    """How it steers."""
    message_limit_bytes: int = 1400
    """What a message should not exceed; a single batch that is larger still goes out."""
    epoch: int = 0
    """Boots without memory before this one."""


class Observation(NamedTuple):
    """What an agent's own sensors say."""

    tick: int
    """Steps flown so far."""
    state: Floats
    """Shape (n,)."""
    fix: bool = True
    """Whether it knows where it is; without, its operation is over and `state` is dead reckoning."""


class Heard(NamedTuple):
    """Messages taken in."""

    sender: Ints
    entries: Ints
    """Entries of each that were news."""
    bytes: Ints


class Report(NamedTuple):
    """What an agent writes into its flight log."""

    consumed: float
    """Mass consumed in the step that ends now."""
    samples: Ints
    """Samples it was consumed from."""
    amounts: Floats
    remaining: int
    """Weight believed to remain. [quanta]"""
    goal: Floats
    """Goal of the step that begins, NaN if there is none. [m]"""
    acted: bool
    """Whether it treated in the step that ends now."""
    active: bool
    """Whether it acts in the step that begins."""
    happened: list[int]
    """Codes of what happened in choosing the command, see `d2oc.record.EVENT_CODES`."""
    heard: Heard
    memory: int
    """Of belief and logs. [byte]"""


class Outcome(NamedTuple):
    """What `Agent.step` gives."""

    command: Floats
    """Input, shape (m,)."""
    outbox: list[bytes]
    report: Report


Spans = Sequence[tuple[int, int]]
"""Batches of a log: first and end of each run."""


class Lacking(NamedTuple):
    """What others lack, as far as they said."""

    spans: dict[int, tuple[int, int]]
    """First batch somebody lacks of each log, and the end of what to tell, by row."""
    n_messages: int
    """So many messages of one tick are worth while: on average, every so many ticks one comes through."""


@dataclass
class _Parcel:
    """What goes into one message."""

    room: int
    """Bytes left."""
    runs: list[Run]


@dataclass
class _Peer:
    """What another agent said last of what it knows."""

    heard: int
    """Tick at which it was heard last."""
    gap: float
    """Ticks from one message of it that comes through to the next, on average."""
    known: Ints
    """Batches known of each log, by row; `UNTOLD` where it did not say."""


class Agent:
    """Knows its own state, the ground, and what it was told.

    Parameters
    ----------
    setup : AgentSetup
        Who it is.
    ground : Ground
        What is to be treated.
    scratch : Scratch, optional
        Working memory that agents of one process may share: what is read from it was written in the same step.
    """

    def __init__(self, setup: AgentSetup, ground: Ground, scratch: Scratch | None = None) -> None:
        self._setup = setup
        self._ground = ground
        self._tree = ground.tree
        self._space, self._aside, self._moving = scratch or scratch_for(ground)
        n = len(ground.weights)
        self._team = _team_of_one(setup)
        self._pilot: Pilot = setup.brief.pilot(self._aside, setup.time_step)
        self._belief: Belief = new_belief(ground.tree, ground.weights, ground.quantum, 1)
        self._logs: Logs = new_logs(1, SPARE_BATCHES, n + SPARE_BATCHES, "sum")
        self._rows: dict[int, int] = {log_of(setup.number, setup.epoch): 0}
        self._names: list[int] = list(self._rows)
        self._sorted: list[int] = list(self._rows)
        self._before: Floats | None = None
        self._youngest: dict[int, tuple[int, int]] = {}
        """Epoch and tick of the last message of each sender."""
        self._settled: Ints = np.zeros(1, np.int32)
        self._here: Flags = np.zeros(self._logs.first.shape, np.bool_)
        """Batches written down of each log that is another's: some of them come before their turn."""
        self._peers: dict[int, _Peer] = {}
        self._sent: dict[int, list[tuple[int, int]]] = {}
        """What the last messages held of each log, by row."""
        self._told_until: dict[int, int] = {}
        """Where to go on telling what others lack of each log, by row."""
        self._row_turn = (0, 0)
        self.refused: dict[Refused, int] = dict.fromkeys(Refused, 0)
        """Messages dropped, by reason."""

    @property
    def number(self) -> int:
        """Which agent this is."""
        return self._setup.number

    @property
    def belief(self) -> Floats:
        """Weight believed to remain, shape (N,); negative where the team is known to have consumed too much."""
        return np.asarray(self._belief.weight[0, self._ground.slot])

    @property
    def known(self) -> dict[int, int]:
        """Batches known of each log; see `d2oc.bus.messages.log_of`."""
        return {name: int(self._belief.version[0, row]) for name, row in self._rows.items()}

    @property
    def ledger(self) -> dict[int, list[tuple[int, int, float]]]:
        """Everything known to be consumed, by log: step, sample and amount."""
        return {name: self._entries(row) for name, row in self._rows.items()}

    def step(self, observation: Observation, inbox: Sequence[bytes]) -> Outcome:
        """Act once.

        Parameters
        ----------
        observation : Observation
            Where the vehicle is after `observation.tick` steps.
        inbox : sequence of bytes
            What the radio heard since the last step.

        Returns
        -------
        outcome : Outcome
            The command for the step that begins, messages to send, and a report for the flight log.
        """
        k, team = observation.tick, self._team
        self._tree = self._moving.at(k)
        team.state[0] = observation.state
        team.position[0] = observation.state[list(self._setup.position_states)]
        if not observation.fix:
            team.n_steps[0] = min(k, team.n_steps[0])
        on_air = k <= self._setup.n_steps
        heard, lacking, messages = self._hear(k, inbox if on_air or self._pilot.beacon else ())
        self._pilot.listen(k, messages, self._before, self._crew)
        acted = bool(team.active[0])
        if acted:
            self._make_room(k, 0)
            self._pilot.book(k - 1, self._crew)
            acted = bool(team.active[0])
        consumed, samples, amounts = self._last_batch(k - 1) if acted else _nothing()
        self._pilot.decide(k, self._crew)
        outbox = self._messages(k, lacking) if on_air or self._pilot.beacon else []
        self._before = team.position[0].copy()
        self._settled = self._belief.version[0].copy()
        report = Report(
            consumed,
            samples,
            amounts,
            int(self._belief.total[0]),
            team.goal[0].copy(),
            acted,
            bool(team.active[0]),
            self._pilot.happened,
            heard,
            self.memory_bytes,
        )
        return Outcome(team.input[0].copy(), outbox, report)

    @property
    def _crew(self) -> Crew:
        """The agent as a team of one."""
        return Crew(
            self._team, self._setup.law, self._tree, self._belief, self._logs, self._space,
            self._ground.quantum, self._setup.negligible,
        )  # fmt: skip

    @property
    def memory_bytes(self) -> int:
        """Memory of belief and logs. [byte]"""
        return sum(np.asarray(array).nbytes for array in (*self._belief, *self._logs, self._here))

    def stopped(self) -> Outcome:
        """What an agent gives that is lost: nothing."""
        team = self._team
        team.active[0], team.input[0], team.goal[0] = False, 0.0, np.nan
        none = np.empty(0, np.int32)
        heard = Heard(none, none, none)
        remaining = int(self._belief.total[0])
        goal = team.goal[0].copy()
        report = Report(0.0, none, np.empty(0), remaining, goal, False, False, [], heard, self.memory_bytes)
        return Outcome(team.input[0].copy(), [], report)

    # Remembering

    def snapshot(self) -> bytes:
        """All that the agent remembers, as plain data; its belief follows from the logs."""
        team, version = self._team, self._belief.version[0, : len(self._names)]
        entry = np.concatenate([self._entry_numbers(row, 0, int(n)) for row, n in enumerate(version)])
        return packed(
            {
                "names": self._names,
                "version": version,
                "counts": np.concatenate([self._logs.length[row, :n] for row, n in enumerate(version)]),
                "slots": self._logs.slot[entry],
                "amounts": self._logs.amount[entry],
                "n_steps": int(team.n_steps[0]),
                "active": bool(team.active[0]),
                "consumed": float(team.consumed[0]),
                "reach": float(team.reach[0]),
                "before": self._before,
                "youngest": list(self._youngest.items()),
                "settled": self._settled[: len(self._names)],
                "early": [self._run(*span) for span in self._early()],
                "peers": [[sender, peer.heard, peer.gap, peer.known] for sender, peer in self._peers.items()],
                "sent": list(self._sent.items()),
                "told_until": list(self._told_until.items()),
                "row_turn": self._row_turn,
                "refused": [self.refused[reason] for reason in Refused],
                "pilot": self._pilot.remembered(),
            }
        )

    def restore(self, memory: bytes) -> None:
        """Remember what `snapshot` gave, as if nothing had happened since; only for an agent that has not flown yet."""
        kept, team = unpacked(memory), self._team
        for name in kept["names"][1:]:
            self._new_row(name)
        self._restore_logs(kept["version"], kept["counts"], kept["slots"], kept["amounts"])
        team.n_steps[0], team.active[0] = kept["n_steps"], kept["active"]
        team.consumed[0], team.reach[0] = kept["consumed"], kept["reach"]
        self._learn([Run(*run) for run in kept["early"]])
        self._peers = {sender: _Peer(heard, gap, self._of_rows(known)) for sender, heard, gap, known in kept["peers"]}
        self._told_until = dict(kept["told_until"])
        self._before = kept["before"]
        self._youngest = {sender: tuple(when) for sender, when in kept["youngest"]}
        self._settled = _padded(kept["settled"][None], self._belief.version.shape)[0]
        self._sent = {row: [tuple(span) for span in spans] for row, spans in kept["sent"]}
        self._row_turn = tuple(kept["row_turn"])
        self.refused = dict(zip(Refused, kept["refused"], strict=True))
        self._pilot.remember(kept["pilot"])

    def _restore_logs(self, version: Ints, counts: Ints, slots: Ints, amounts: Floats) -> None:
        self._make_room(int(version.max()), len(slots))
        begin = np.cumsum(counts, dtype=np.int64) - counts
        ends = np.cumsum(version)
        for row, (n, end) in enumerate(zip(version, ends, strict=True)):
            self._logs.length[row, :n] = counts[end - n : end]
            self._logs.first[row, :n] = begin[end - n : end]
            self._here[row, :n] = row > 0
        self._logs.slot[: len(slots)] = slots
        self._logs.amount[: len(slots)] = amounts
        self._logs.used[0] = len(slots)
        known = _padded(version[None], self._belief.version.shape)[0]
        learn(self._tree, self._belief, self._logs, 0, known, self._ground.quantum)

    # Hearing

    def _hear(self, k: int, inbox: Sequence[bytes]) -> tuple[Heard, Lacking, list[Message]]:
        """Take in messages; also what others lack of each log, by row, and those that are young."""
        rows, messages = [], []
        for data in inbox:
            message = self._read(data)
            entries = message if isinstance(message, Refused) else self._learn(message.runs)
            if isinstance(message, Refused) or isinstance(entries, Refused):
                self.refused[message if isinstance(message, Refused) else Refused.MALFORMED] += 1
                continue
            if self._note(message):
                messages.append(message)
            rows.append((message.sender, entries, len(data)))
        return Heard(*np.array(rows, np.int32).reshape(-1, 3).T), self._lacking(k, messages), messages

    def _read(self, data: bytes) -> Message | Refused:
        message = decode(data)
        if isinstance(message, Message) and message.sender == self.number and message.epoch >= self._setup.epoch:
            return Refused.OWN
        return message

    def _note(self, message: Message) -> bool:
        """Whether a message tells something younger of its sender than what that one said before."""
        when = (message.epoch, message.tick)
        if message.part:
            return False
        if self._youngest.get(message.sender, (-1, -1)) >= when:
            return False
        self._youngest[message.sender] = when
        return True

    def _lacking(self, k: int, messages: Sequence[Message]) -> Lacking:
        """What others lack of each log: what those say who are heard now, and what the silent ones said last.

        What was learned just now may be on its way to the others as well: a large team waits a tick to see.
        """
        until = self._belief.version[0].copy()
        if len(self._rows) > EAGER_LOGS:
            until = _padded(self._settled[None], (1, len(until)))[0]
        until[0] = self._settled[0]
        known = np.full(len(until), UNTOLD, np.int32)
        for message in messages:
            self._listen_to(k, message, known)
        near = [peer for peer in self._peers.values() if k - peer.heard <= PATIENCE_GAPS * peer.gap]
        for peer in self._peers.values():
            if k - peer.heard > PATIENCE_GAPS * peer.gap:
                peer.known = self._of_rows(peer.known[:0])
            elif peer.heard < k:
                np.minimum(known, peer.known, out=known)
        spans = {int(row): (int(known[row]), int(until[row])) for row in np.flatnonzero(known < until)}
        gap = sum(peer.gap for peer in near) / max(1, len(near))
        return Lacking(spans, max(1, min(MOST_MESSAGES, round(gap))))

    def _listen_to(self, k: int, message: Message, known: Ints) -> None:
        """Note what the sender of a message knows, and lower `known` to it."""
        low = bisect_left(self._sorted, message.known_from)
        high = bisect_left(self._sorted, message.known_until)
        names = self._sorted[low:high]
        rows = [self._rows[name] for name in names]
        batches = np.array([message.known.get(name, 0) for name in names], np.int32)
        peer = self._peers.get(message.sender)
        if peer is None:
            peer = self._peers[message.sender] = _Peer(k, 1.0, self._of_rows(batches[:0]))
        else:
            peer.gap += (min(k - peer.heard, LONGEST_GAP) - peer.gap) / GAP_MEMORY
            peer.heard = k
        peer.known[rows] = batches
        known[rows] = np.minimum(known[rows], batches)

    def _learn(self, runs: Sequence[Run]) -> int | Refused:
        """Book what others consumed; returns how many entries were news."""
        known = self._belief.version[0].copy()
        for run in runs:
            if run.log == log_of(self.number, self._setup.epoch):
                continue
            row = self._rows.get(run.log)
            have = 0 if row is None else int(known[row])
            last = run.first + n_batches(run)
            if last <= have or last > have + AHEAD_BATCHES:
                continue
            counts, samples, quanta = columns_of(run)
            if not self._is_sound(samples, quanta):
                return Refused.MALFORMED
            if row is None:
                row = self._new_row(run.log)
                known = np.append(known, np.zeros(len(self._belief.version[0]) - len(known), np.int32))
            self._make_room(last, len(samples))
            here = self._here[row]
            news = ~here[run.first : last]
            if news.any():
                slots = self._ground.slot[samples]
                write_down(self._logs, row, run.first, news, counts, slots, quanta, self._ground.quantum)
                here[run.first : last] = True
                known[row] = _first_false(here, have)
        return learn(self._tree, self._belief, self._logs, 0, known, self._ground.quantum)[2]

    def _is_sound(self, samples: Ints, quanta: Longs) -> bool:
        in_range = (samples >= 0) & (samples < len(self._ground.slot))
        return bool(in_range.all() and ((quanta > 0) & (quanta <= 1 << WEIGHT_BITS)).all())

    def _new_row(self, name: int) -> int:
        row = len(self._rows)
        self._rows[name] = row
        self._names.append(name)
        insort(self._sorted, name)
        if row == len(self._logs.first):
            self._reshape(2 * row, self._logs.first.shape[1])
            self._belief = self._belief._replace(version=_padded(self._belief.version, (1, 2 * row)))
            for peer in self._peers.values():
                peer.known = self._of_rows(peer.known)
        return row

    def _reshape(self, rows: int, steps: int) -> None:
        """Room for so many logs and batches of each."""
        self._logs = _with_shape(self._logs, rows, steps)
        self._here = _padded(self._here, (rows, steps))

    def _of_rows(self, known: Ints) -> Ints:
        """Room for a number of every row."""
        wider = np.full(len(self._logs.first), UNTOLD, np.int32)
        wider[: len(known)] = known
        return wider

    def _early(self) -> list[tuple[int, int, int]]:
        """Row, first batch and end of all runs that came before their turn."""
        spans = []
        for row, have in enumerate(self._belief.version[0, : len(self._names)].tolist()):
            edge = np.flatnonzero(np.diff(self._here[row, have:], prepend=False, append=False)) + have
            spans += [(row, int(first), int(until)) for first, until in edge.reshape(-1, 2)]
        return spans

    def _make_room(self, n_batches: int, n_entries: int) -> None:
        """Room for this many batches of a log, and for entries beside those of one step of the agent's own."""
        rows, steps = self._logs.first.shape
        if n_batches > steps:
            self._reshape(rows, max(n_batches, 2 * steps))
        needed = int(self._logs.used[0]) + n_entries + 2 * len(self._ground.slot)  # a law may take each sample twice
        if needed > len(self._logs.slot):
            self._logs = with_capacity(self._logs, needed + needed // 2)

    # Acting

    def _last_batch(self, step: int) -> tuple[float, Ints, Floats]:
        first, count = int(self._logs.first[0, step]), int(self._logs.length[0, step])
        entries = slice(first, first + count)
        samples = self._tree.sample[self._logs.slot[entries]]
        return float(self._team.consumed[0]), samples, self._logs.amount[entries].copy()

    # Speaking

    def _messages(self, k: int, lacking: Lacking) -> list[bytes]:
        """The message of this tick, and more of them if others lack more than fits into one."""
        position = self._team.position[0]
        velocity = np.zeros(2) if self._before is None else (position - self._before) / self._setup.time_step
        sightings, way = self._pilot.say(k)
        known_from, known_until, known = self._told(k)
        taken = size_of(sightings) + len(way) + size_of(known)
        parcels = self._parcels(k, lacking, taken)
        first = Message(
            VERSION, self.number, self._setup.epoch, k, 0, len(parcels), _pair(position), _pair(velocity),
            self._setup.alpha, max(0, int(self._team.n_steps[0]) - k), bool(self._team.active[0]), sightings, way,
            known_from, known_until, known, parcels[0].runs,
        )  # fmt: skip
        more = [further_part(first, part, parcel.runs) for part, parcel in enumerate(parcels[1:], 1)]
        return [encode(message) for message in (first, *more)]

    def _told(self, k: int) -> tuple[int, int, dict[int, int]]:
        """How much is known of the logs whose turn it is."""
        names = self._sorted
        turns = -(-len(names) // TOLD_LOGS)
        low = (k + self.number) % turns * TOLD_LOGS
        high = low + TOLD_LOGS
        version = self._belief.version[0]
        known = {name: int(version[self._rows[name]]) for name in names[low:high]}
        return names[low] if low else 0, names[high] if high < len(names) else END_OF_LOGS, known

    def _parcels(self, k: int, lacking: Lacking, taken: int) -> list[_Parcel]:
        """Own news first, then what others lack, then a piece of a whole log.

        Parameters
        ----------
        k : int
            Now.
        lacking : Lacking
            What others lack.
        taken : int
            Bytes of the first message that are taken by other things.
        """
        before, self._sent = self._sent, {}
        parcels = [_Parcel(self._room - taken, [])]
        version = int(self._belief.version[0, 0])
        self._send(0, max(0, min(int(self._settled[0]), version - REPEATED_BATCHES)), version, parcels[0])
        turn = (k + self.number) % len(self._sorted)
        for name in (*self._sorted[turn:], *self._sorted[:turn]):  # each begins elsewhere: many speak, few repeat
            row = self._rows[name]
            if row in lacking.spans:
                on_its_way = before.get(row, ()) if lacking.n_messages == 1 else ()
                self._send_lacking(row, *lacking.spans[row], on_its_way, parcels, lacking.n_messages)
        if (k + self.number) % ROW_INTERVAL_TICKS == 0:
            self._send_whole(parcels[-1])
        return parcels

    @property
    def _room(self) -> int:
        """Bytes of a message for its runs."""
        return self._setup.message_limit_bytes - HEAD_BYTES

    def _send_lacking(
        self, row: int, first: int, until: int, on_its_way: Spans, parcels: list[_Parcel], most: int
    ) -> None:
        """Tell others what they lack of a log, going on where the last message ended, and then from its beginning.

        What was said in the last tick cannot have been answered yet: where little is lost, it is on its way.
        """
        go_on = self._told_until.get(row, first)
        if not first <= go_on < until:
            go_on = first
        for begin, end in ((go_on, until), (first, go_on)):
            for gap in _gaps(begin, end, [*on_its_way, *self._sent.get(row, ())]):
                if not self._send_all(row, *gap, parcels, most):
                    return

    def _send_all(self, row: int, first: int, until: int, parcels: list[_Parcel], most: int) -> bool:
        """Add batches to the last parcel, and to `most` parcels in all; whether that was enough."""
        while first < until:
            n = self._send(row, first, until, parcels[-1])
            if n == 0 and (len(parcels) >= most or not parcels[-1].runs):
                return False
            if n == 0:
                parcels.append(_Parcel(self._room, []))
            first += n
            self._told_until[row] = first
        return True

    def _send_whole(self, parcel: _Parcel) -> None:
        """A piece of a known log, log by log: heals those who hear us but whom we do not hear."""
        row, first = self._row_turn
        row %= len(self._rows)
        until = min([int(self._belief.version[0, row]), *(begin for begin, _ in self._sent.get(row, ()))])
        parcel.room = min(parcel.room, PIECE_BYTES)
        first += self._send(row, first, until, parcel)
        self._row_turn = (row, first) if first < until else (row + 1, 0)

    def _send(self, row: int, first: int, until: int, parcel: _Parcel) -> int:
        """Add as many batches from `first` on as there is room for; returns how many."""
        counts = self._logs.length[row, first:until]
        if len(counts) == 0:
            return 0
        sizes = size_of_run(np.arange(1, len(counts) + 1), np.cumsum(counts))
        n = int(np.searchsorted(sizes, parcel.room, side="right"))
        if n == 0 and (parcel.runs or sizes[0] > LARGEST_BATCH_BYTES):
            return 0
        n = max(n, 1)
        parcel.runs.append(self._run(row, first, first + n))
        self._sent.setdefault(row, []).append((first, first + n))
        parcel.room -= int(sizes[n - 1])
        return n

    def _run(self, row: int, first: int, until: int) -> Run:
        """Batches of a log that are written down."""
        entry = self._entry_numbers(row, first, until)
        quanta = (self._logs.amount[entry] / self._ground.quantum).astype(np.int64)
        samples = self._tree.sample[self._logs.slot[entry]]
        return run_of(self._names[row], first, self._logs.length[row, first:until], samples, quanta)

    def _entry_numbers(self, row: int, first: int, until: int) -> Longs:
        """Entries of batches of one log, in order."""
        counts = self._logs.length[row, first:until].astype(np.int64)
        begin = self._logs.first[row, first:until] - (np.cumsum(counts) - counts)
        return np.asarray(np.repeat(begin, counts) + np.arange(counts.sum()))

    def _entries(self, row: int) -> list[tuple[int, int, float]]:
        until = int(self._belief.version[0, row])
        entry = self._entry_numbers(row, 0, until)
        step = np.repeat(np.arange(until), self._logs.length[row, :until])
        sample = self._tree.sample[self._logs.slot[entry]]
        return list(zip(step.tolist(), sample.tolist(), self._logs.amount[entry].tolist(), strict=True))


def _nothing() -> tuple[float, Ints, Floats]:
    return 0.0, np.empty(0, np.int32), np.empty(0)


def _pair(values: Floats) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _team_of_one(setup: AgentSetup) -> Team:
    n_inputs, n_states = setup.law.state_gain.shape[2:]
    return Team(
        kind=np.zeros(1, np.int32),
        n_steps=np.array([setup.n_steps], np.int32),
        alpha=np.array([setup.alpha]),
        state=np.zeros((1, n_states)),
        input=np.zeros((1, n_inputs)),
        position=np.zeros((1, 2)),
        goal=np.full((1, 2), np.nan),
        consumed=np.zeros(1),
        active=np.zeros(1, np.bool_),
        reach=np.zeros(1),
    )


def _first_false(flags: Flags, start: int) -> int:
    """Index of the first that does not hold, from `start` on."""
    left = np.flatnonzero(~flags[start:])
    return start + int(left[0]) if len(left) else len(flags)


def _gaps(first: int, until: int, spans: Spans) -> Iterator[tuple[int, int]]:
    """What spans leave of the one from `first` to `until`."""
    for begin, end in sorted(spans):
        if first < min(begin, until):
            yield first, min(begin, until)
        first = max(first, end)
    if first < until:
        yield first, until


def _padded(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    wider = np.zeros(shape, array.dtype)
    wider[: array.shape[0], : array.shape[1]] = array
    return wider


def _with_shape(logs: Logs, rows: int, steps: int) -> Logs:
    first = np.zeros((rows, steps), np.int64)
    first[: logs.first.shape[0], : logs.first.shape[1]] = logs.first
    return logs._replace(first=first, length=_padded(logs.length, (rows, steps)))
