"""A simulated vehicle in this process as a `FlightController`: no protocol, no socket."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from d2oc_hardware.clock import Clock
from d2oc_hardware.flight_controller import MOST_LEASE, FencePolygon, FlightError, Health, Mode, Telemetry
from d2oc_hardware.frames import Place, Velocity
from d2oc_hardware.simulated.autopilot import REPEAT_RC9, Autopilot, CopterMode

MODES = {
    CopterMode.GUIDED: Mode.OURS,
    CopterMode.LOITER: Mode.HOLD,
    CopterMode.BRAKE: Mode.HOLD,
    CopterMode.AUTO: Mode.MISSION,
    CopterMode.RTL: Mode.RETURN,
    CopterMode.LAND: Mode.LAND,
}


class SimulatedController:
    """Flies an `Autopilot` whose place of switching on is `start`; see `FlightController`."""

    def __init__(self, autopilot: Autopilot, start: Place, clock: Clock) -> None:
        self._autopilot = autopilot
        self._start = start
        self._clock = clock
        self._fence: list[FencePolygon] = []
        self._spray_until = -math.inf

    @property
    def telemetry(self) -> Telemetry:
        """What it says."""
        self._catch_up()
        a = self._autopilot
        return Telemetry(
            position=self._field(a.plant.place),
            velocity=a.plant.velocity,
            position_time=self._clock.now(),
            heartbeat_time=self._clock.now(),
            mode=MODES.get(a.mode, Mode.PILOT),
            armed=a.armed,
            landed=a.landed,
            health=Health(a.position_known, 14, a.not_armable() is None, compass=True),
            battery=a.battery,
            tank=a.tank,
            tank_time=self._clock.now(),
            pump=a.pump,
            pump_time=self._clock.now(),
            home=self._field(a.home),
            wind=a.parameter["SIM_WIND_SPD"],
            version=(4, 7, 0),
            clock_offset=0.0,
        )

    @property
    def firmware(self) -> str:
        """It behaves like ArduPilot."""
        return "ArduPilot"

    @property
    def keeps_fence(self) -> bool:
        """It holds one."""
        return True

    async def connect(self) -> None:
        """Wait until it knows where it is."""
        await self._until(lambda: self.telemetry.health.position_known, "the vehicle has no position")

    async def close(self) -> None:
        """Spray off."""
        self.spray(0.0, 0.0)

    async def engage(self) -> None:
        """GUIDED."""
        await self._do(lambda: self._autopilot.set_mode(CopterMode.GUIDED))

    async def arm(self) -> None:
        """Arm."""
        await self._do(self._autopilot.arm)

    async def disarm(self) -> None:
        """Disarm."""
        await self._do(self._autopilot.disarm)

    async def take_off(self, height: float) -> None:
        """Climb."""
        telemetry = self.telemetry
        if telemetry.position is not None and not telemetry.landed and abs(telemetry.position.up - height) < 0.5:
            return
        await self._do(lambda: self._autopilot.take_off(height - self._start.up))
        await self._until(lambda: self._up() > height - 0.3, "the vehicle did not climb")

    def fly(self, velocity: Velocity) -> None:
        """Velocity setpoint."""
        self._catch_up()
        self._autopilot.fly(velocity)

    def spray(self, share: float, lease: float) -> None:
        """Spray by lease."""
        self._catch_up()
        a = self._autopilot
        wanted = share > 0.0 and math.isfinite(lease) and a.mode == CopterMode.GUIDED and not a.landed
        a.sprayer_on = wanted
        a.pump_share = share if wanted and a.parameter["SERVO5_FUNCTION"] == REPEAT_RC9 else None
        self._spray_until = self._clock.now() + min(lease, MOST_LEASE) if wanted else -math.inf

    async def hold(self) -> None:
        """BRAKE."""
        await self._switch(CopterMode.BRAKE)

    async def return_home(self) -> None:
        """RTL."""
        await self._switch(CopterMode.RTL)

    async def land(self) -> None:
        """LAND."""
        await self._switch(CopterMode.LAND)

    async def parameters(self, names: Sequence[str]) -> dict[str, float | None]:
        """Values of parameters."""
        return {name: self._autopilot.parameter.get(name) for name in names}

    async def upload_fence(self, fence: Sequence[FencePolygon]) -> None:
        """Take a fence."""
        self._fence = list(fence)
        x, y, _ = self._start
        rings = [([(e - x, n - y) for e, n in p.corners], p.inside_allowed) for p in fence]
        self._autopilot.inclusion = [ring for ring, inside in rings if inside]
        self._autopilot.exclusion = [ring for ring, inside in rings if not inside]

    async def read_fence(self) -> list[FencePolygon]:
        """The fence."""
        return list(self._fence)

    async def upload_mission(self, places: Sequence[Place]) -> None:
        """Take a mission."""
        x, y, up = self._start
        here = [Place(place.east - x, place.north - y, place.up - up) for place in places]
        first = ("takeoff", here[0])
        self._autopilot.mission = [first, *(("waypoint", place) for place in here), ("return", here[0])]

    async def read_mission(self) -> list[Place]:
        """The mission."""
        return [self._field(place) for what, place in self._autopilot.mission if what == "waypoint"]

    def _field(self, place: Place) -> Place:
        x, y, up = self._start
        return Place(place.east + x, place.north + y, place.up + up)

    def _up(self) -> float:
        self._catch_up()
        return self._autopilot.plant.place.up + self._start.up

    def _catch_up(self) -> None:
        now = self._clock.now()
        self._autopilot.heard_gcs = now
        if self._spray_until <= now:
            self._autopilot.advance(max(self._autopilot.now, min(now, self._spray_until)))
            self._autopilot.sprayer_on = False
        self._autopilot.advance(now)

    async def _switch(self, mode: CopterMode) -> None:
        self.spray(0.0, 0.0)
        await self._do(lambda: self._autopilot.set_mode(mode))

    async def _do(self, ask: Callable[[], str | None]) -> None:
        self._catch_up()
        complaint = ask()
        if complaint is not None:
            raise FlightError(f"the vehicle refuses: {complaint}")

    async def _until(self, holds: Callable[[], bool], complaint: str) -> None:
        end = self._clock.now() + 60.0
        while not holds():
            if self._clock.now() > end:
                raise FlightError(complaint)
            await self._clock.sleep(0.05)
