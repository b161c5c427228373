"""A real Betaflight as a process: SIGUSR1 switches a person's transmitter on, SIGUSR2 opens the command line."""

import asyncio
import signal
import sys
from pathlib import Path

from d2oc_hardware.clock import Clock
from d2oc_hardware.frames import FieldDatum, Geodetic
from d2oc_hardware.simulated.betaflight import RealBetaflight
from d2oc_hardware.simulated.process import VehicleSetup


async def main(binary, port, at, report=None):
    datum = FieldDatum(Geodetic(*map(float, at.split(","))))
    setup = VehicleSetup(datum, port=int(port), report=None if report is None else Path(report))
    vehicle = RealBetaflight(setup, Path(binary), Clock())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, vehicle.take_over)
    loop.add_signal_handler(signal.SIGUSR2, vehicle.forbid_arming)
    await vehicle.run()


asyncio.run(main(*sys.argv[1:]))
