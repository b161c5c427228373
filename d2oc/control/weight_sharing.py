"""Stage C, weight sharing: agents in radio range learn what the other knows to be consumed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Ints
from d2oc.compiled import compiled
from d2oc.ledger import Belief, Logs, learn
from d2oc.transport.nearest_mass import SampleTree

MESSAGE_HEADER_BYTES = 32
"""Sender, time, position and sizes of one message."""
WRITER_BYTES = 8
"""Writer and first batch, for each writer with news."""
BATCH_BYTES = 4
"""Length of each batch."""
ENTRY_BYTES = 12
"""Sample (4) and amount (8) of each entry."""


class Mail(NamedTuple):
    """Messages of one step, in the order of delivery."""

    sender: Ints
    receiver: Ints
    entries: Ints
    """Ledger entries that were news to the receiver."""
    bytes: Ints
    """Size of the message: what the receiver lacked, plus the fixed parts above."""
    n: Ints
    """Messages so far, shape (1,)."""


def empty_mail(capacity: int) -> Mail:
    """Room for the messages of one step."""
    sender, receiver, entries, size = np.empty((4, capacity), np.int32)
    return Mail(sender, receiver, entries, size, np.zeros(1, np.int32))


@compiled
def tell(
    tree: SampleTree,
    belief: Belief,
    logs: Logs,
    sender: int,
    receiver: int,
    known: Ints,
    quantum: float,
    mail: Mail,
) -> None:
    """Deliver one message: `receiver` learns the version vector `known` of `sender`."""
    writers, batches, entries = learn(tree, belief, logs, receiver, known, quantum)
    i = mail.n[0]
    mail.sender[i] = sender
    mail.receiver[i] = receiver
    mail.entries[i] = entries
    mail.bytes[i] = MESSAGE_HEADER_BYTES + WRITER_BYTES * writers + BATCH_BYTES * batches + ENTRY_BYTES * entries
    mail.n[0] = i + 1
