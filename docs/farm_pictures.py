"""Draws docs/images/farm_*.png: severity with the ways flown, the dose wanted, and what came down.

Run from the checkout: python docs/farm_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d2oc import load_scenario, simulate
from d2oc.phases import Phase
from d2oc.record import Record

NAMES = ("broadacre_weeds", "orchard_patches", "vineyard_slope")
IMAGES = Path(__file__).with_name("images")


def draw(record: Record, path: Path) -> None:
    """Three maps side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    raster, cells = record.header.raster or {}, record.cells
    shape = raster["n_rows"], raster["n_columns"]
    x, y, cell = raster["origin_x_m"], raster["origin_y_m"], raster["cell_m"]
    extent = (x, x + shape[1] * cell, y, y + shape[0] * cell)
    maps = [cells[name].reshape(shape) for name in ("severity", "target_l_ha", "deposit_l_ha")]
    tall = shape[0] / shape[1]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2 * tall + 0.9), layout="constrained")
    top = float(np.quantile(maps[2][maps[2] > 0], 0.995))
    titles = ("severity and ways flown", "dose wanted [L/ha]", "dose on the ground [L/ha]")
    for axis, values, title, largest in zip(axes, maps, titles, (None, top, top), strict=True):
        shown = axis.imshow(
            np.where(values > 0, values, np.nan), origin="lower", extent=extent, cmap="YlGnBu", vmin=0, vmax=largest
        )
        figure.colorbar(shown, ax=axis, shrink=0.7)
        axis.set_title(title, fontsize=10)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=7)
        boundary = np.array([*record.header.boundary_m, record.header.boundary_m[0]])
        axis.plot(*boundary.T, color="0.3", lw=0.8)
        for zones, colour in (
            (record.header.no_fly_zones_m, "crimson"),
            (record.header.no_spray_zones_m, "darkorange"),
        ):
            for zone in zones:
                axis.fill(*np.array(zone).T, color=colour, alpha=0.7, lw=0)
    places, phases = record.by_tick("x_m", "y_m"), record.by_tick("phase")[:, :, 0]
    for r in range(record.header.n_agents):
        flown = np.where((phases[:, r] == Phase.MISSION)[:, None], places[:, r], np.nan)
        axes[0].plot(*places[:, r].T, color=f"C{r + 1}", lw=0.3, alpha=0.6)
        axes[0].plot(*flown.T, color=f"C{r + 1}", lw=0.9)
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    for name in NAMES:
        record = simulate(load_scenario(name))
        draw(record, IMAGES / f"farm_{name}.png")
        keep = ("litres", "saved_percent", "missed_percent", "overdosed_m2", "buffer_litres", "makespan_s", "refills")
        from d2oc.sprayed import sprayed

        found = sprayed(record)
        print(name, {key: round(found[key], 2) for key in keep}, flush=True)
