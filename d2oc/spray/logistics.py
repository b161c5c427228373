"""Drones as machines that empty and fill: tank, battery, stations with queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from d2oc.airframes.airframe import Airframe
from d2oc.arrays import Floats
from d2oc.phases import Phase
from d2oc.scenario.schema import StationTable
from d2oc.spray.division import Leg, Route
from d2oc.spray.passes import Segment
from d2oc.spray.routes import Pace, hop_time

J_PER_WH = 3600.0
LOADS_TRIED = 8
"""Bisections for the largest load that one battery sprays."""
PAD_M, BODY_PAD_M = 5.0, 10.0
"""Distance of the places of drones at a station; the second of bodies, which gusts push. [m]"""


@dataclass(eq=False)
class Drone:
    """One drone: what it is, and what it is doing."""

    number: int
    airframe: Airframe
    pace: Pace
    tank: float
    """Largest load. [L]"""
    climb: float
    """Time to its working height. [s]"""
    station: int
    """Where it stands, or is served next."""
    phase: Phase = Phase.GROUND
    liquid: float = 0.0
    """[L]"""
    energy: float = 0.0
    """Left in the battery. [J]"""
    drawn: float = 0.0
    """From all batteries so far. [J]"""
    height: float = 0.0
    """[m]"""
    timer: float = 0.0
    """Time left of what it is doing: climbing, descending, being served. [s]"""
    sorties: int = 0
    refills: int = 0
    pump: float = 0.0
    """Flow of the pump. [L/s]"""
    route: Route = field(default_factory=list)
    """What it has to fly; the first leg is under way while `on_pass`."""
    way: list[Floats] = field(default_factory=list)
    """Places to fly over before the next pass begins. [m]"""
    on_pass: bool = False
    served: bool = True
    """Whether it needs nothing from the station it stands at."""
    held: bool = False
    """Kept on the ground by something that is not of the plan: a person beside it."""
    flown: list[Segment] = field(default_factory=list)
    """What it has flown so far, of the leg under way only what was cut off."""

    @property
    def leg(self) -> Leg | None:
        """What it flies now or next."""
        return self.route[0] if self.route else None

    @property
    def flying(self) -> bool:
        """Whether it is in the air."""
        return self.phase in (Phase.TAKE_OFF, Phase.TRANSIT, Phase.MISSION, Phase.RETURN, Phase.LANDING)

    @property
    def full_energy(self) -> float:
        """Of a fresh battery. [J]"""
        return self.airframe.battery.energy_wh * J_PER_WH

    @property
    def power(self) -> float:
        """Drawn now. [W]"""
        return self.airframe.hover_power(self.airframe.mass_with(self.liquid))

    @property
    def endurance(self) -> float:
        """Time in the air on one battery with half a load. [s]"""
        return self.full_energy / self.airframe.hover_power(self.airframe.mass_with(self.tank / 2))


def load_for(drone: Drone, litres: Floats, seconds: Floats, home: float, energy: float) -> float:
    """Largest load that a drone can spray on one battery; more would only weigh.

    Parameters
    ----------
    drone : Drone
    litres, seconds : ndarray, shape (n,)
        What each pass of its route takes, and the time for it and the way to it. [L, s]
    home : float
        Time to come home from anywhere on the route. [s]
    energy : float
        What it may draw. [J]

    Returns
    -------
    load : float
        [L]
    """
    used = np.cumsum(litres)
    low, high = 0.0, min(drone.tank, float(used[-1]))
    load = high
    for _ in range(LOADS_TRIED):
        left = np.maximum(load - used + litres / 2.0, 0.0)
        flown = np.clip(
            (load - used + litres) / np.maximum(litres, 1e-9), 0.0, 1.0
        )  # share of each pass before it is empty
        power = np.array([drone.airframe.hover_power(drone.airframe.mass_with(liquid)) for liquid in left])
        drawn = float((flown * seconds * power).sum()) + home * drone.airframe.hover_power(
            drone.airframe.mass_with(0.0)
        )
        low, high = (load, high) if drawn <= energy else (low, load)
        if low == high:
            break
        load = (low + high) / 2.0
    return low


class Stations:
    """Where drones are served, first come first served."""

    def __init__(self, tables: Sequence[StationTable], apart: float = PAD_M) -> None:
        self.tables = tables
        self._apart = apart
        self.places: Floats = np.array([table.place_m for table in tables], np.float64)
        self._queue: list[list[Drone]] = [[] for _ in tables]
        self._busy: list[list[Drone]] = [[] for _ in tables]

    def pad(self, station: int, number: int) -> Floats:
        """Where a drone stands at a station: side by side, so that nobody lands on another, shape (2,). [m]"""
        beside = (number + 1) // 2 * (1 if number % 2 else -1)
        pad: Floats = self.places[station] + np.array([self._apart * beside, 0.0])
        return pad

    def nearest(self, place: Floats, pace: Pace, waiting: float = 60.0) -> tuple[int, float]:
        """Station that serves soonest, and the time to fly there [s]; each drone there counts as a wait [s]."""
        away = [
            hop_time(float(d), pace.transit, pace.acceleration) for d in np.linalg.norm(self.places - place, axis=1)
        ]
        load = [
            max(0, len(busy) + len(queue) + 1 - table.slots) / table.slots
            for table, busy, queue in zip(self.tables, self._busy, self._queue, strict=True)
        ]
        best = min(range(len(away)), key=lambda i: away[i] + waiting * load[i])
        return best, away[best]

    def wait(self, drone: Drone) -> None:
        """A drone on the ground wants to be served; it joins the queue once."""
        if drone not in self._queue[drone.station]:
            self._queue[drone.station].append(drone)

    def serve(self, dt: float, fill: Callable[[Drone], float]) -> None:
        """Serve for a while.

        Parameters
        ----------
        dt : float
            [s]
        fill : callable
            Fills a drone's tank, changes its battery, and returns the litres that went in.
        """
        for table, busy, queue in zip(self.tables, self._busy, self._queue, strict=True):
            for drone in [d for d in busy if d.timer <= dt]:
                busy.remove(drone)
                drone.timer, drone.served, drone.phase = 0.0, True, Phase.GROUND
            for drone in busy:
                drone.timer -= dt
            while queue and len(busy) < table.slots:
                drone = queue.pop(0)
                drone.timer = table.handling_s + max(table.swap_s, 60.0 * fill(drone) / table.fill_l_min)
                drone.refills += 1
                drone.phase = Phase.SERVICE
                busy.append(drone)

    def leave(self, drone: Drone) -> None:
        """A drone is lost, wherever it stands."""
        for drones in (*self._queue, *self._busy):
            if drone in drones:
                drones.remove(drone)
