"""The wire: one socket or serial line that many vehicles share, and the log of every packet on it.

`udp:HOST:PORT` listens and answers whoever speaks; `udpout:HOST:PORT` speaks first; `tcp:HOST:PORT` and
`serial:DEVICE:BAUD` carry streams. A vehicle is found by its system id, and a packet goes to where that id was last
heard from, never to everybody.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.mavlink.codec import Codec, Message

AUTOPILOT = 1
"""Component id of an autopilot."""
Address = tuple[str, int] | None
BAUDS = (57_600, 115_200, 230_400, 460_800, 921_600)


class Log:
    """A telemetry log that ground stations read: every packet behind its time in microseconds (tlog).

    Parameters
    ----------
    path : Path or None
        File, begun anew; None: nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=1 << 16)

    def note(self, packet: bytes) -> None:
        """Keep a packet."""
        if self._file is not None:
            self._file.write(struct.pack(">Q", int(time.time() * 1e6)) + packet)

    def close(self) -> None:
        """Write what is pending."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Link(asyncio.DatagramProtocol):
    """Packets of many vehicles; made by `open_link`.

    Parameters
    ----------
    system, component : int
        Who we are.
    key : bytes or None
        For signing.
    log : Log
        Takes every packet, both ways.
    """

    def __init__(self, system: int, component: int, key: bytes | None, log: Log) -> None:
        self.system = system
        self.component = component
        self._key = key
        self._log = log
        self._writer = Codec(system, component, key)
        self._readers: dict[Address, Codec] = {}
        self._address: dict[int, Address] = {}
        self._subscriber: dict[int, Callable[[Message], None]] = {}
        self._write: Callable[[bytes, Address], object] | None = None
        self._close: Callable[[], None] = lambda: None
        self.first_address: Address = None
        """Where to speak before anything was heard."""
        self.port = 0
        """UDP port that it listens on."""

    # As the protocol of a socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A UDP socket is there."""
        socket = cast(asyncio.DatagramTransport, transport)
        self._write = socket.sendto
        self.port = int(socket.get_extra_info("sockname")[1])
        self._close = transport.close

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A UDP packet is there."""
        self._take(self._reader(addr).parse(data), addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: telemetry that grows old says so."""

    def use_stream(self, write: Callable[[bytes], object], close: Callable[[], None]) -> None:
        """A stream is there."""
        self._write = lambda data, address: write(data)
        self._close = close

    def stream_received(self, data: bytes) -> None:
        """Bytes of a stream are there."""
        self._take(self._reader(None).parse_stream(data), None)

    def _reader(self, address: Address) -> Codec:
        if address not in self._readers:
            codec = Codec(self.system, self.component, self._key)
            codec.share_signatures(self._writer)
            self._readers[address] = codec
        return self._readers[address]

    def _take(self, messages: list[Message], address: Address) -> None:
        for message in messages:
            system = message.get_srcSystem()
            subscriber = self._subscriber.get(system)
            if subscriber is None:
                continue
            self._address[system] = address
            self._log.note(bytes(message.get_msgbuf()))
            subscriber(message)

    # For its users

    def subscribe(self, system: int, take: Callable[[Message], None]) -> None:
        """Hand on what a vehicle says."""
        self._subscriber[system] = take

    def send(self, system: int, message: Message) -> None:
        """Send a packet to a vehicle; to nobody while it is unknown where it is."""
        address = self._address.get(system, self.first_address)
        if self._write is None or (address is None and system not in self._address and self.first_address is None):
            return
        data = self._writer.pack(message)
        self._log.note(data)
        with suppress(OSError):
            self._write(data, address)

    def close(self) -> None:
        """Let go of the socket and end the log."""
        self._close()
        self._write = None
        self._log.close()


async def open_link(
    where: str, *, system: int = 255, component: int = 191, key: bytes | None = None, log: Path | None = None
) -> Link:
    """A link.

    Parameters
    ----------
    where : str
        ``udp:HOST:PORT``, ``udpout:HOST:PORT``, ``tcp:HOST:PORT`` or ``serial:DEVICE:BAUD``.
    system, component : int
        Who we are: as a ground station 255, on a companion computer the vehicle's own system id.
    key : bytes, optional
        For signing.
    log : Path, optional
        File for the telemetry log.

    Raises
    ------
    FlightError
        If `where` is none of these, or cannot be opened.
    """
    kind, _, rest = where.partition(":")
    name, _, number = rest.rpartition(":")
    if kind not in ("udp", "udpout", "tcp", "serial") or not name or not number.isdigit():
        raise FlightError(f"link '{where}': write udp:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or serial:DEVICE:BAUD")
    link = Link(system, component, key, Log(log))
    loop = asyncio.get_running_loop()
    if kind in ("tcp", "serial"):
        link.first_address = (name, int(number))
        await open_stream(link, where, where)
        return link
    try:
        if kind == "udp":
            await loop.create_datagram_endpoint(lambda: link, local_addr=(name, int(number)))
        else:
            link.first_address = (name, int(number))
            await loop.create_datagram_endpoint(lambda: link, local_addr=("0.0.0.0", 0))
    except OSError as error:
        raise FlightError(f"link '{where}': cannot be opened ({error.strerror or error})") from None
    return link


class Stream(Protocol):
    """What speaks over a stream of bytes."""

    def use_stream(self, write: Callable[[bytes], object], close: Callable[[], None]) -> None:
        """It is there."""

    def stream_received(self, data: bytes) -> None:
        """Bytes are there."""


async def open_stream(link: Stream, where: str, told: str) -> None:
    """Open a stream for `link`.

    Parameters
    ----------
    link : Stream
        Who speaks over it.
    where : str
        ``tcp:HOST:PORT`` or ``serial:DEVICE:BAUD``.
    told : str
        What the user called it.

    Raises
    ------
    FlightError
        If `where` is neither, or cannot be opened.
    """
    kind, _, rest = where.partition(":")
    name, _, number = rest.rpartition(":")
    if kind not in ("tcp", "serial") or not name or not number.isdigit():
        raise FlightError(f"link '{told}': write tcp:HOST:PORT or serial:DEVICE:BAUD for a stream")
    try:
        if kind == "tcp":
            await _open_tcp(link, name, int(number))
        else:
            _open_serial(link, name, int(number))
    except OSError as error:
        raise FlightError(f"link '{told}': cannot be opened ({error.strerror or error})") from None


async def _open_tcp(link: Stream, host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)

    async def read() -> None:
        with suppress(OSError):  # the other side has gone: telemetry that grows old says so
            while data := await reader.read(4096):
                link.stream_received(data)

    task = asyncio.ensure_future(read())

    def close() -> None:
        task.cancel()
        writer.close()

    link.use_stream(lambda data: writer.write(data), close)


def _open_serial(link: Stream, device: str, baud: int) -> None:
    """A serial line as 8N1, raw, by termios: no library is needed for that."""
    import termios
    import tty

    if baud not in BAUDS:
        raise FlightError(f"serial baud {baud} must be one of {', '.join(map(str, BAUDS))}")
    number = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(number)
    settings = termios.tcgetattr(number)
    settings[4] = settings[5] = getattr(termios, f"B{baud}")
    termios.tcsetattr(number, termios.TCSANOW, settings)
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            data = os.read(number, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the line was pulled: telemetry that grows old says so
            loop.remove_reader(number)
            return
        link.stream_received(data)

    def close() -> None:
        loop.remove_reader(number)
        os.close(number)

    loop.add_reader(number, read)
    link.use_stream(lambda data: os.write(number, data), close)
