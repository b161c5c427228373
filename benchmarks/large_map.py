"""Writes a map of 2,000 ha and 10,000 x 10,000 pixels with its boundary, for the measurement in docs/maps.md.

Run from the checkout: python benchmarks/large_map.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import rasterio

N = 10_000
SIDE_M = 4472.136
"""2,000 ha."""
CORNER = (353_000.0, 6_453_600.0)
CRS = "EPSG:3006"
N_PATCHES = 60


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixel = SIDE_M / N
    rng = np.random.default_rng(1)
    places = rng.uniform(0, SIDE_M, (N_PATCHES, 2))
    sizes, strengths = rng.uniform(40, 200, N_PATCHES), rng.uniform(1, 10, N_PATCHES)
    x = pixel * (np.arange(N) + 0.5)
    profile = {
        "driver": "GTiff", "width": N, "height": N, "count": 1, "dtype": "float32", "crs": CRS, "nodata": -1.0,
        "tiled": True, "compress": "deflate",
        "transform": rasterio.Affine(pixel, 0, CORNER[0], 0, -pixel, CORNER[1] + SIDE_M),
    }  # fmt: skip
    with rasterio.open(folder / "weeds.tif", "w", **profile) as raster:
        for first in range(0, N, 500):
            y = SIDE_M - pixel * (np.arange(first, first + 500) + 0.5)
            values = np.zeros((500, N), np.float32)
            for (px, py), size, strength in zip(places, sizes, strengths, strict=True):
                values += np.float32(strength) * np.outer(
                    np.exp(-((y - py) ** 2) / (2 * size**2)), np.exp(-((x - px) ** 2) / (2 * size**2))
                ).astype(np.float32)
            values += rng.uniform(0, 0.05, values.shape).astype(np.float32)  # noise, so that it does not pack away
            raster.write(values, 1, window=rasterio.windows.Window(0, first, N, 500))
    (west, north), (east, south) = (CORNER[0], CORNER[1] + SIDE_M), (CORNER[0] + SIDE_M, CORNER[1])
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    content = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": CRS}},
        "features": [{"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}],
    }
    (folder / "field.geojson").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
