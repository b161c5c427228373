"""A real Betaflight as a simulated vehicle: the firmware built for the host, in a network of its own, on a body.

The firmware's ports are fixed and open on every interface, so there is one in a network namespace, and none outside.
This process stands in both networks: it hands the bytes of the vehicle's serial line through, from a TCP port on the
loopback interface. The firmware's simulator has no battery, so this process answers for that sensor; what the body has
drawn is known here.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from d2oc.airframes.airframe import Airframe, load_preset
from d2oc_hardware.betaflight import msp
from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.simulated.betaflight_frame import hover_stick, require_quadrotor, settings
from d2oc_hardware.simulated.betaflight_plant import STICKS, STICKS_PORT, BetaflightPlant
from d2oc_hardware.simulated.private_network import die_with_parent, enter_private_network
from d2oc_hardware.simulated.process import LOOPBACK, VehicleSetup

LINE_PORT, CREW_PORT = 5761, 5762
"""TCP ports of the first two serial lines."""
TRIES, TRY_S, CONNECT_S = 6, 10.0, 4.0
REPORT_S = 0.2
CELLS, CAPACITY = 3, 2200
"""Of the battery that is answered for; [mAh]."""
EMPTY_V, FULL_V = 3.3, 4.2
"""Of a cell. [V]"""
COMMAND_LINE = b"#"
AT_ONCE = 8
"""Lines; its buffer holds 1400 bytes."""
PROMPT = b"\r\n# "
ANSWER = b"$M>"
FLEW_M = 0.3
PRIORITY = -10


class RealBetaflight:
    """The firmware's process and what stands around it.

    Parameters
    ----------
    setup : VehicleSetup
        What is simulated; `port` is the TCP port of its line.
    binary : Path
        The firmware.
    clock : Clock
        Of the flight; the firmware knows the wall's only.
    """

    def __init__(self, setup: VehicleSetup, binary: Path, clock: Clock) -> None:
        if not os.access(binary, os.X_OK):
            raise FlightError(f"{binary}: is no program that can be started")
        if clock.speedup != 1.0:
            raise FlightError("a real Betaflight flies at the wall's pace only: leave out --speedup")
        if setup.faults:
            raise FlightError("a real Betaflight has no faults that can be planned")
        self._setup, self._binary, self._clock = setup, binary, clock
        self._airframe: Airframe = load_preset(setup.airframe)
        require_quadrotor(self._airframe)
        self._plant: BetaflightPlant
        self._flies = asyncio.Event()
        self._flew = False
        self._flown: list[float] | None = None
        self._sprayed: list[float] | None = None
        self._transmitter: asyncio.Task[None] | None = None
        self._said: asyncio.StreamReader
        self._line: asyncio.StreamWriter
        self._crew: asyncio.StreamWriter
        self._outside: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Fly until cancelled; raises when the firmware ends by itself."""
        with suppress(OSError):  # what is late here is late for the whole flight
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        plant = self._plant = BetaflightPlant(self._airframe, self._setup.datum)
        server = await asyncio.start_server(self._serve, LOOPBACK, self._setup.port)
        if not enter_private_network():
            raise FlightError("a real Betaflight needs a network namespace of its own: that takes CAP_SYS_ADMIN")
        with tempfile.TemporaryDirectory(prefix="betaflight-") as name:
            folder = Path(name)
            (await self._started(self._configure, folder)).wait()
            process = await self._started(self._boot, folder)
            plant.start()
            backwards = asyncio.ensure_future(self._hand_back(self._said))
            self._flies.set()
            try:
                await self._attend(process, folder)
            finally:
                backwards.cancel()
                server.close()
                process.kill()
                process.wait()
                plant.stop()

    async def _started(
        self, steps: Callable[[subprocess.Popen[bytes]], Coroutine[Any, Any, None]], folder: Path
    ) -> subprocess.Popen[bytes]:
        """A process of the firmware that has got so far; on a busy machine it was seen to get stuck while it starts."""
        for _ in range(TRIES):
            process = self._start(folder)
            try:
                await asyncio.wait_for(steps(process), TRY_S)
                return process
            except TimeoutError:
                process.kill()
                process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
        raise self._failure(folder)

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        with (folder / "console.txt").open("wb") as console:
            return subprocess.Popen(
                [str(self._binary.resolve())], cwd=folder, stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, preexec_fn=die_with_parent,
            )  # fmt: skip

    @staticmethod
    async def _connected(
        port: int, process: subprocess.Popen[bytes]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        end = asyncio.get_running_loop().time() + CONNECT_S
        while asyncio.get_running_loop().time() < end:
            with suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, port)
            if process.poll() is not None:
                raise FlightError("the firmware ends by itself")
            await asyncio.sleep(0.05)
        raise TimeoutError

    async def _boot(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it would fly; packets of state that come before may stop it for good.

        Each of its lines may be one that it never listens to: both are tried, and kept.
        """
        self._said, self._line = await self._connected(LINE_PORT, process)
        _, self._crew = await self._connected(CREW_PORT, process)
        parser = msp.Parser()
        while True:
            self._line.write(msp.frame(msp.STATUS_EX))
            with suppress(TimeoutError):
                for frame in parser.take(await asyncio.wait_for(self._said.read(4096), REPORT_S)):
                    if "BOOT_GRACE_TIME" not in msp.status(frame.payload).obstacles():
                        return
            await asyncio.sleep(0.05)

    def _failure(self, folder: Path) -> FlightError:
        last = (folder / "console.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        return FlightError(f"{self._binary}: the firmware does not fly ({'; '.join(last) or 'it says nothing'})")

    async def _configure(self, process: subprocess.Popen[bytes]) -> None:
        """Write the settings by its command line, as a person does; it keeps them in a file, then ends."""
        reader, writer = await self._connected(LINE_PORT, process)
        await asyncio.sleep(0.2)
        writer.write(COMMAND_LINE)
        await self._answer(reader)
        lines = settings(self._airframe)
        for first in range(0, len(lines), AT_ONCE):
            part = lines[first : first + AT_ONCE]
            writer.write("".join(f"{line}\n" for line in part).encode("ascii"))
            for line in part:
                if "ERROR" in await self._answer(reader):
                    raise FlightError(f"{self._binary}: does not know '{line}'; build it as docs/flying.md says")
        writer.write(b"save\n")
        while process.poll() is None:
            await asyncio.sleep(0.05)

    @staticmethod
    async def _answer(reader: asyncio.StreamReader) -> str:
        return (await reader.readuntil(PROMPT)).decode("ascii", "replace")

    async def _attend(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        while True:
            if process.poll() is not None:
                raise self._failure(folder)
            self._note()
            if self._setup.report is not None:
                self._tell_truth(self._setup.report)
            await asyncio.sleep(REPORT_S)

    # The line that flies it

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what is told to the firmware, once it flies."""
        await self._flies.wait()
        self._outside = writer
        with suppress(OSError):
            while data := await reader.read(4096):
                self._line.write(data)
        if self._outside is writer:
            self._outside = None
        writer.close()

    async def _hand_back(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the firmware says."""
        changed = Rewriter(self._battery)
        while data := await reader.read(4096):
            told = changed.take(data)
            if self._outside is not None:
                self._outside.write(told)

    def _battery(self) -> bytes:
        charge = max(0.0, self._plant.truth.charge)
        volts = CELLS * (EMPTY_V + (FULL_V - EMPTY_V) * charge)
        return msp.battery_bytes(msp.Battery(CELLS, CAPACITY, round((1.0 - charge) * CAPACITY), volts))

    # What a person does beside it

    def take_over(self) -> None:
        """Switch a transmitter on: the receiver's sticks count from now on, which keep it level where it is."""

        async def stick() -> None:
            hover = 1000 + round(1000 * hover_stick(self._airframe))
            channels = [1500, 1500, hover, 1500, 2000, *[1000] * 11]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                while True:
                    line.sendto(STICKS.pack(0.0, *channels), (LOOPBACK, STICKS_PORT))
                    await asyncio.sleep(0.02)

        self._transmitter = asyncio.ensure_future(stick())

    def forbid_arming(self) -> None:
        """Open the command line on another line: until it is switched on anew, the firmware does not arm."""
        self._crew.write(COMMAND_LINE)

    # The truth

    def _note(self) -> None:
        truth = self._plant.truth
        x, y, up = truth.place
        self._flew = self._flew or up > FLEW_M
        self._flown = _grown(self._flown, x, y)
        if truth.pump > 0.0:
            self._sprayed = _grown(self._sprayed, x, y)

    def _tell_truth(self, path: Path) -> None:
        truth = self._plant.truth
        unfinished = path.with_suffix(".unfinished")
        told = {
            "time_s": round(truth.time, 2),
            "flew": self._flew,
            "landed": truth.motors == 0.0 and truth.place.up < FLEW_M,
            "place_m": [round(x, 2) for x in truth.place],
            "flown_box_m": self._flown,
            "sprayed_box_m": self._sprayed,
            "pump": truth.pump,
            "charge": round(truth.charge, 3),
            "late_s": round(truth.late, 3),
        }
        unfinished.write_text(json.dumps(told), encoding="utf-8")
        unfinished.replace(path)


class Rewriter:
    """Puts an answer of ours in the place of the firmware's own for its battery.

    Parameters
    ----------
    battery : callable
        Gives the payload.
    """

    def __init__(self, battery: Callable[[], bytes]) -> None:
        self._battery, self._pending = battery, b""

    def take(self, data: bytes) -> bytes:
        """What may be handed on now."""
        self._pending += data
        done = b""
        while (start := self._pending.find(ANSWER)) >= 0:
            done, self._pending = done + self._pending[:start], self._pending[start:]
            length = msp.HEAD + self._pending[3] + 1 if len(self._pending) > 3 else msp.HEAD
            if len(self._pending) < length:
                return done
            whole, self._pending = self._pending[:length], self._pending[length:]
            done += msp.frame(msp.BATTERY_STATE, self._battery(), b">") if whole[4] == msp.BATTERY_STATE else whole
        kept = next((n for n in (2, 1) if self._pending.endswith(ANSWER[:n])), 0)
        done, self._pending = (
            done + self._pending[: len(self._pending) - kept],
            self._pending[len(self._pending) - kept :],
        )
        return done


def _grown(box: list[float] | None, x: float, y: float) -> list[float]:
    """West, east, south and north end of where it was. [m]"""
    west, east, south, north = box or (x, x, y, y)
    return [min(west, x), max(east, x), min(south, y), max(north, y)]


async def fly_betaflight(setup: VehicleSetup, binary: Path, clock: Clock) -> None:
    """Run the firmware until cancelled."""
    with suppress(asyncio.CancelledError):
        await RealBetaflight(setup, binary, clock).run()
