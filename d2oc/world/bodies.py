"""Rigid bodies in PyBullet: the one place that names it.

Measured on PyBullet 3.2.7: time goes into Python calls, so poses are read and wrenches are set once per control step
and the engine makes several substeps of its own, over which forces persist. Setting a mass alone makes the engine
recompute the inertia from the shape, so both are always set together; its default damping, which would slow 10 m/s to
6.9 in a second, is off.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from d2oc.arrays import Floats
from d2oc.errors import MissingExtraError
from d2oc.world.terrain import Terrain

GRAVITY = (0.0, 0.0, -9.81)
PLANE_FRICTION = 0.8

FLYING, GROUND, DOWN = 1, 2, 4
"""Collision groups: flying bodies meet each other, and the ground only once they are down, which saves the engine a
quarter of its time."""


def engine() -> Any:
    """PyBullet.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        with silent():
            import pybullet
    except ImportError:
        raise MissingExtraError('world.kind = "bullet"', "bullet") from None
    return pybullet


@contextmanager
def silent(stream: int = 2) -> Iterator[None]:
    """Keep off the terminal what the engine prints about its build and its window (1 is stdout, 2 stderr)."""
    _flush()
    kept, nowhere = os.dup(stream), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    try:
        yield
    finally:
        _flush()
        os.dup2(kept, stream)
        os.close(kept)
        os.close(nowhere)


def _flush() -> None:
    """Write out what the engine has printed into a buffer of the C library."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)


def create_ground(bullet: Any, client: int, terrain: Terrain) -> int:
    """The ground as a body of the engine: a plane where it is level."""
    height = terrain.height
    if height.min() == height.max():
        shape = bullet.createCollisionShape(bullet.GEOM_PLANE, physicsClientId=client)
        return int(bullet.createMultiBody(0.0, shape, basePosition=[0, 0, height.min()], physicsClientId=client))
    rows, columns = height.shape
    shape = bullet.createCollisionShape(
        bullet.GEOM_HEIGHTFIELD,
        meshScale=[terrain.cell, terrain.cell, 1.0],
        heightfieldData=height.ravel().tolist(),
        numHeightfieldRows=columns,  # the engine's first axis is x
        numHeightfieldColumns=rows,
        physicsClientId=client,
    )
    middle = [
        terrain.x + 0.5 * (columns - 1) * terrain.cell,
        terrain.y + 0.5 * (rows - 1) * terrain.cell,
        0.5 * float(height.min() + height.max()),
    ]
    return int(bullet.createMultiBody(0.0, shape, basePosition=middle, physicsClientId=client))


class Bodies:
    """One free rigid body per vehicle over the ground, all in one physics world.

    Parameters
    ----------
    position : ndarray, shape (L, 3)
        Where they start, level and at rest. [m]
    mass : ndarray, shape (L,)
        [kg]
    inertia : ndarray, shape (L, 3)
        Roll, pitch, yaw. [kg m^2]
    size : sequence of (radius, height)
        Of the cylinder that touches things. [m]
    step : float
        Time between two wrenches. [s]
    substeps : int
        Steps of the engine in that time.
    terrain : Terrain
        The ground; a plane where it is level.
    """

    def __init__(
        self,
        position: Floats,
        mass: Floats,
        inertia: Floats,
        size: Sequence[tuple[float, float]],
        step: float,
        substeps: int,
        terrain: Terrain,
    ) -> None:
        self._bullet = bullet = engine()
        self._client: int = bullet.connect(bullet.DIRECT)
        self.close = weakref.finalize(self, bullet.disconnect, self._client)
        bullet.setPhysicsEngineParameter(fixedTimeStep=step, numSubSteps=substeps, physicsClientId=self._client)
        bullet.setGravity(*GRAVITY, physicsClientId=self._client)
        self._ground = create_ground(bullet, self._client, terrain)
        bullet.changeDynamics(self._ground, -1, lateralFriction=PLANE_FRICTION, physicsClientId=self._client)
        bullet.setCollisionFilterGroupMask(self._ground, -1, GROUND, DOWN, self._client)
        self._ids = self._create(position, size)
        self._of_id = {body: r for r, body in enumerate(self._ids)}
        for r in range(len(self._ids)):
            self.set_mass(r, float(mass[r]), inertia[r])

    def _create(self, position: Floats, size: Sequence[tuple[float, float]]) -> list[int]:
        bullet, client = self._bullet, self._client
        shapes = {
            (radius, height): bullet.createCollisionShape(
                bullet.GEOM_CYLINDER, radius=radius, height=height, physicsClientId=client
            )
            for radius, height in dict.fromkeys(size)
        }
        ids = [
            bullet.createMultiBody(1.0, shapes[shape], basePosition=place, physicsClientId=client)
            for place, shape in zip(position.tolist(), size, strict=True)
        ]
        for body in ids:
            bullet.changeDynamics(body, -1, linearDamping=0.0, angularDamping=0.0, physicsClientId=client)
            bullet.setCollisionFilterGroupMask(body, -1, FLYING, FLYING, client)
        return ids

    def let_fall(self, r: int) -> None:
        """From now on this body may touch the ground."""
        self._bullet.setCollisionFilterGroupMask(self._ids[r], -1, FLYING | DOWN, FLYING | GROUND, self._client)

    def keep_off_ground(self, r: int) -> None:
        """From now on this body meets other vehicles and no ground, as at first."""
        self._bullet.setCollisionFilterGroupMask(self._ids[r], -1, FLYING, FLYING, self._client)

    def set_mass(self, r: int, mass: float, inertia: Floats) -> None:
        """Mass [kg] and roll, pitch, yaw inertia [kg m^2] of one body."""
        self._bullet.changeDynamics(
            self._ids[r], -1, mass=mass, localInertiaDiagonal=inertia.tolist(), physicsClientId=self._client
        )

    def set_motion(self, r: int, velocity: Sequence[float], rate: Sequence[float]) -> None:
        """Velocity [m/s] and rate [rad/s] of one body, in the world's axes."""
        self._bullet.resetBaseVelocity(self._ids[r], velocity, rate, physicsClientId=self._client)

    def place(self, r: int, position: Sequence[float], attitude: Sequence[float]) -> None:
        """Position [m] and attitude (x, y, z, w) of one body."""
        self._bullet.resetBasePositionAndOrientation(self._ids[r], position, attitude, physicsClientId=self._client)

    def read(self, into: Floats) -> None:
        """Position, attitude (x, y, z, w), velocity and rate of every body, in the world's axes.

        Parameters
        ----------
        into : ndarray, shape (L, 13)
            Overwritten. [m], [-], [m/s], [rad/s]
        """
        pose, motion, client = self._bullet.getBasePositionAndOrientation, self._bullet.getBaseVelocity, self._client
        flat: list[float] = []
        for body in self._ids:
            place, attitude = pose(body, client)
            velocity, rate = motion(body, client)
            flat += place
            flat += attitude
            flat += velocity
            flat += rate
        into.reshape(-1)[:] = flat

    def push(self, place: Floats, force: Floats, torque: Floats) -> None:
        """Set the wrench on every body until the next step, in the world's axes.

        Parameters
        ----------
        place : ndarray, shape (L, 3)
            Where the bodies are. [m]
        force, torque : ndarray, shape (L, 3)
            [N], [N m]
        """
        apply_force, apply_torque = self._bullet.applyExternalForce, self._bullet.applyExternalTorque
        frame, client = self._bullet.WORLD_FRAME, self._client
        for body, at, f, t in zip(self._ids, place.tolist(), force.tolist(), torque.tolist(), strict=True):
            apply_force(body, -1, f, at, frame, client)
            apply_torque(body, -1, t, frame, client)

    def step(self) -> None:
        """Let the engine run for one step with its substeps."""
        self._bullet.stepSimulation(physicsClientId=self._client)

    @property
    def any_contact(self) -> bool:
        """Whether anything touches anything: the engine remembers contacts, and does not tell all of it."""
        return len(self._bullet.getContactPoints(physicsClientId=self._client)) > 0

    def touching(self) -> list[tuple[int, int]]:
        """Pairs of vehicles that touch at this moment, as agent numbers."""
        of_id = self._of_id
        pairs = [
            (of_id.get(contact[1], -1), of_id.get(contact[2], -1))
            for contact in self._bullet.getContactPoints(physicsClientId=self._client)
        ]
        return [pair for pair in pairs if min(pair) >= 0]
