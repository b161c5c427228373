"""MAVLink 2 messages to bytes and back: pymavlink's generated dialect as a codec, and nothing else of it.

One codec a peer: a half message of one must not spoil the next of another. What is signed wrongly, replayed, or not
signed where a key is set, is dropped. pymavlink notes a signature's timestamp *before* it has checked the signature,
so that one forged packet with a late timestamp locks out the true sender; here the signature is checked first.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import time
from pathlib import Path
from typing import Any

from d2oc.errors import MissingExtraError
from d2oc_hardware.flight_controller import FlightError

try:
    os.environ.setdefault("MAVLINK20", "1")
    from pymavlink.dialects.v20 import ardupilotmega
except ImportError:
    raise MissingExtraError("MAVLink", "hardware") from None

dialect: Any = ardupilotmega
Message = Any
"""A message of the dialect."""

SIGNATURE_EPOCH_S = 1_420_070_400
"""1 January 2015, from which signatures count time in steps of 10 us."""
KEY_BYTES = 32
ON_TIME = 6_000_000
"""A stream heard for the first time may be at most a minute behind. [10 us]"""


class _Signed(ardupilotmega.MAVLink):  # type: ignore[misc, unused-ignore]
    """The codec of pymavlink, with the order of checks put right."""

    def check_signature(self, msgbuf: bytearray, srcSystem: int, srcComponent: int) -> bool:
        """Whether a packet is signed with our key and later than the one before it on the same stream."""
        signing = self.signing
        expected = hashlib.sha256(bytes(signing.secret_key) + bytes(msgbuf[:-6])).digest()[:6]
        if expected != bytes(msgbuf[-6:]):
            return False
        low, high = struct.unpack("<IH", msgbuf[-12:-6])
        timestamp = low + (high << 32)
        stream = (msgbuf[-13], srcSystem, srcComponent)
        before = signing.stream_timestamps.get(stream)
        if timestamp <= before if before is not None else timestamp + ON_TIME < signing.timestamp:
            return False
        signing.stream_timestamps[stream] = timestamp
        signing.timestamp = max(signing.timestamp, timestamp)
        return True


class Codec:
    """Reads and writes the messages of one peer.

    Parameters
    ----------
    system, component : int
        Who we are.
    key : bytes, optional
        Signs what goes out; what comes in unsigned, wrongly signed or again is dropped.
    link : int
        Number of the link in signatures.
    """

    def __init__(self, system: int, component: int, key: bytes | None = None, link: int = 0) -> None:
        self._mav = _Signed(None, srcSystem=system, srcComponent=component)
        self._mav.robust_parsing = True
        self.dropped = 0
        """Packets that were none, or not signed as they must be."""
        if key is not None:
            signing = self._mav.signing
            signing.secret_key, signing.sign_outgoing, signing.link_id = key, True, link
            signing.timestamp = signature_time()

    def share_signatures(self, other: Codec) -> None:
        """Judge timestamps together with another codec: what one has heard is a replay to the other."""
        self._mav.signing.stream_timestamps = other._mav.signing.stream_timestamps

    def pack(self, message: Message) -> bytes:
        """Bytes of a message, signed with a time that is as late as that of anybody who was heard.

        An autopilot counts from a minute ahead of where it stood when it was switched off, and hears nobody who is more
        than a minute behind.
        """
        signing = self._mav.signing
        if signing.sign_outgoing:
            signing.timestamp = max(signing.timestamp, signature_time(), *signing.stream_timestamps.values())
        data = bytes(message.pack(self._mav))
        self._mav.seq = (self._mav.seq + 1) % 256
        return data

    def parse(self, datagram: bytes) -> list[Message]:
        """Messages in a datagram; whatever else stands in it is dropped."""
        self._mav.buf, self._mav.buf_index = bytearray(), 0  # a datagram holds whole packets
        return self._messages(datagram)

    def parse_stream(self, data: bytes) -> list[Message]:
        """Messages in the next bytes of a stream."""
        return self._messages(data)

    def _messages(self, data: bytes) -> list[Message]:
        messages = []
        for message in self._mav.parse_buffer(data) or ():
            if message.get_type() in ("BAD_DATA",) or message.get_type().startswith("UNKNOWN"):
                self.dropped += 1
            else:
                messages.append(message)
        return messages


def signature_time() -> int:
    """Now, as signatures count. [10 us]"""
    return int((time.time() - SIGNATURE_EPOCH_S) * 1e5)


def read_key(path: Path) -> bytes:
    """Key for signing from a file of 64 hexadecimal digits that nobody else may read.

    Raises
    ------
    FlightError
        If it cannot be read, is readable by others, or holds something else.
    """
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise FlightError(f"{path}: the signing key can be read by others; run `chmod 600 {path}`")
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise FlightError(f"{path}: the signing key cannot be read ({error.strerror})") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise FlightError(f"{path}: a signing key is 64 hexadecimal digits")
    return key
