"""PyBullet's window: a second engine that only shows where the bodies of the first one are.

The engine that flies the drones has none, because every call to an engine with a window waits for its pictures; so the
flight is the same with and without one.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import sys
import weakref
from collections.abc import Sequence
from typing import Any

from d2oc.arrays import Floats
from d2oc.errors import DisplayError
from d2oc.world.bodies import create_ground, engine, silent
from d2oc.world.terrain import Terrain

COLOURS = (
    (0.84, 0.37, 0.0),
    (0.0, 0.45, 0.7),
    (0.0, 0.62, 0.45),
    (0.8, 0.47, 0.65),
    (0.9, 0.62, 0.0),
    (0.34, 0.71, 0.91),
)
"""Of the drones, in turn: Okabe and Ito's, which all can tell apart."""

SMALLEST_SHARE = 0.012
"""A drone is drawn at least this large, as a share of the width of what is seen."""


class Window:
    """Shows a fleet over its ground.

    Parameters
    ----------
    size : sequence of (radius, height)
        Of the bodies. [m]
    terrain : Terrain
        The ground.
    low, high : ndarray, shape (2,)
        What is to be seen. [m]

    Raises
    ------
    DisplayError
        If there is no display.
    """

    def __init__(self, size: Sequence[tuple[float, float]], terrain: Terrain, low: Floats, high: Floats) -> None:
        self._bullet = bullet = engine()
        if not has_display():  # the engine would end the whole program
            raise DisplayError
        quiet = contextlib.ExitStack()
        quiet.enter_context(silent(1))  # until it closes: the engine's window talks from a thread of its own
        with silent(2):
            self._client: int = bullet.connect(bullet.GUI, options="--width=1024 --height=768")
        self.close = weakref.finalize(self, _disconnect, bullet, self._client, quiet)
        """Close the window; until then nothing that is printed reaches standard output."""
        for panel in ("GUI", "SHADOWS", "RGB_BUFFER_PREVIEW", "DEPTH_BUFFER_PREVIEW", "SEGMENTATION_MARK_PREVIEW"):
            bullet.configureDebugVisualizer(getattr(bullet, f"COV_ENABLE_{panel}"), 0, physicsClientId=self._client)
        width = float(max(high - low))
        create_ground(bullet, self._client, terrain)
        self._drones = [
            self._drone(max(radius, SMALLEST_SHARE * width), height * max(1.0, SMALLEST_SHARE * width / radius), r)
            for r, (radius, height) in enumerate(size)
        ]
        middle = (0.5 * (low + high)).tolist()
        bullet.resetDebugVisualizerCamera(1.15 * width, 0.0, -50.0, [*middle, 0.0], physicsClientId=self._client)

    def _drone(self, radius: float, height: float, r: int) -> int:
        bullet, client = self._bullet, self._client
        shape = bullet.createVisualShape(
            bullet.GEOM_CYLINDER,
            radius=radius,
            length=height,
            rgbaColor=[*COLOURS[r % len(COLOURS)], 1.0],
            physicsClientId=client,
        )
        return int(bullet.createMultiBody(0.0, baseVisualShapeIndex=shape, physicsClientId=client))

    def show(self, body: Floats) -> None:
        """Show the fleet.

        Parameters
        ----------
        body : ndarray, shape (L, 13)
            Position, attitude, velocity, rate.

        Raises
        ------
        KeyboardInterrupt
            If the window was closed: whoever watches wants to stop.
        """
        bullet, client = self._bullet, self._client
        if not bullet.isConnected(client):
            raise KeyboardInterrupt
        try:
            for drone, row in zip(self._drones, body.tolist(), strict=True):
                bullet.resetBasePositionAndOrientation(drone, row[:3], row[3:7], physicsClientId=client)
        except bullet.error:
            raise KeyboardInterrupt from None


def _disconnect(bullet: Any, client: int, quiet: contextlib.ExitStack) -> None:
    """Close a window that may be closed already."""
    with quiet, contextlib.suppress(bullet.error):
        bullet.disconnect(client)


def has_display() -> bool:
    """Whether a window can be opened here."""
    if not sys.platform.startswith("linux"):
        return True
    name = ctypes.util.find_library("X11")
    if name is None:
        return False
    library = ctypes.CDLL(name)
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = library.XOpenDisplay(None)
    if display is None:
        return False
    library.XCloseDisplay(display)
    return True
