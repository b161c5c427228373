"""A spraying mission made by hand: two drones, passes, a service, a raster of doses, in a field on the globe."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.phases import Phase
from d2oc.record import AgentHeader, RecordHeader, RecordWriter, Tick

SCENARIO = """\
name = "by hand"
[world]
height_m = 3.0
[[stations]]
name = "truck"
place_m = [-6.0, 0.0]
"""
# What drone 0 does, tick by tick: place, phase, flow [L/min] over the step that ends there, tank [L].
FLIGHT = [
    (0, 0, Phase.GROUND, 0, 5.0),
    (0, 0, Phase.TAKE_OFF, 0, 5.0),
    (0, 10, Phase.TRANSIT, 0, 5.0),
    (10, 10, Phase.MISSION, 6.0, 4.9),
    (20, 10, Phase.MISSION, 6.0, 4.8),
    (30, 10, Phase.MISSION, 6.0, 4.7),
    (30, 20, Phase.MISSION, 0, 4.7),
    (20, 20, Phase.MISSION, 3.0, 4.65),
    (10, 20, Phase.MISSION, 3.0, 4.6),
    (0, 10, Phase.RETURN, 0, 4.6),
    (0, 0, Phase.LANDING, 0, 4.6),
    (0, 0, Phase.SERVICE, 0, 4.6),
    (0, 0, Phase.TAKE_OFF, 0, 6.0),
    (0, 30, Phase.TRANSIT, 0, 6.0),
    (10, 30, Phase.MISSION, 12.0, 5.8),
    (0, 30, Phase.RETURN, 12.0, 5.8),  # a mistake of the machine: on while returning, and no plan may repeat it
    (0, 0, Phase.LANDING, 0, 5.8),
    (0, 0, Phase.GROUND, 0, 5.8),
]
STEP_S = 1.0
CELLS = (8, 10)
CELL_M = 5.0
BOUNDARY = ((0.0, 0.0), (50.0, 0.0), (50.0, 40.0), (0.0, 40.0))
POND = ((40.0, 30.0), (45.0, 30.0), (45.0, 35.0), (40.0, 35.0))
PLACE = {"crs": "EPSG:32633", "origin_easting_m": 353_000.0, "origin_northing_m": 6_453_600.0}


def doses():
    """Doses wanted, shape `CELLS`: 30 L/ha in the south-west, 12.5 L/ha in a strip to the east, nothing elsewhere."""
    wanted = np.zeros(CELLS)
    wanted[:4, :5] = 30.0
    wanted[2, 5:] = 12.5
    return wanted


def cells_of(wanted):
    row, column = np.indices(CELLS)
    return {
        "x_m": (CELL_M * (column.ravel() + 0.5)),
        "y_m": (CELL_M * (row.ravel() + 0.5)),
        "target_l_ha": wanted.ravel(),
        "maximum_l_ha": np.full(wanted.size, 40.0),
        "deposit_l_ha": 1.1 * wanted.ravel(),
    }


@pytest.fixture
def sprayed():
    """Maker of the record; `sprayed(out=..., placed=False)`."""

    def make(out=None, *, placed=True, wanted=None):
        header = RecordHeader(
            name="by hand",
            seed=1,
            n_steps=len(FLIGHT) - 1,
            time_step_s=STEP_S,
            n_samples=1,
            agents=tuple(AgentHeader("double-integrator", ("a",), ("c",), len(FLIGHT) - 1, 0.5) for _ in range(2)),
            boundary_m=BOUNDARY,
            no_fly_zones_m=(POND,),
            georeference=PLACE if placed else None,
            raster={"n_rows": CELLS[0], "n_columns": CELLS[1], "cell_m": CELL_M, "origin_x_m": 0.0, "origin_y_m": 0.0},
        )
        writer = RecordWriter(out, header, SCENARIO, np.array([[10.0, 10.0]]), np.ones(1))
        for k in range(len(FLIGHT)):
            writer.append(tick(k))
        return writer.finish("complete", {}, cells_of(doses() if wanted is None else wanted))

    return make


def tick(k):
    x, y, phase, flow, tank = FLIGHT[k]
    none = np.empty(0, np.int32)
    return Tick(
        tick=k,
        position=np.array([[x, y], [45.0, 5.0]], float),
        state=np.zeros((2, 1)),
        input=np.zeros((2, 1)),
        goal=np.full((2, 2), np.nan),
        consumed=np.zeros(2),
        believed_remaining=np.ones(2),
        active=np.array([phase == Phase.MISSION, False]),
        consumption=(none, none, np.empty(0)),
        messages=(none, none, none, none),
        telemetry={
            "phase": np.array([float(phase), float(Phase.GROUND)]),
            "spray_l_min": np.array([float(flow), 0.0]),
            "liquid_l": np.array([tank, 0.0]),
            "height_m": np.array([0.0 if phase in (Phase.GROUND, Phase.SERVICE) else 2.5, 0.0]),
        },
    )


@pytest.fixture
def wanted():
    """Doses of the record."""
    return doses()
