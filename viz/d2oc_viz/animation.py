"""A mission as a film: MP4 where ffmpeg is installed, GIF everywhere."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.errors import RecordError
from d2oc.record import Record
from d2oc_viz import maps
from d2oc_viz.course import truly_remaining
from d2oc_viz.doses import cells_of, draw_raster, has_doses, laid
from d2oc_viz.drawing import MANY_AGENTS, agent_colour, new_figure, styled

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

RATES = {".mp4": 25, ".gif": 12}
"""Pictures a second, by the ending of the file."""
TRAIL_SHARE = 0.08
"""Trails reach back over this share of the mission."""
TRAIL_POINTS = 20_000
"""Points drawn of all trails together."""
WIDTH = 7.4
"""Of the picture. [inch]"""


def default_ending() -> str:
    """The better of the formats that can be written here."""
    return ".mp4" if shutil.which("ffmpeg") else ".gif"


def animate(
    record: Record,
    path: str | Path,
    *,
    seconds: float = 30.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Film a mission.

    Parameters
    ----------
    record : Record
        Complete or not; one tick suffices.
    path : str or Path
        File to write: ``.mp4`` or ``.gif``.
    seconds : float
        Duration of the film, however long the mission. [s]
    on_progress : callable, optional
        Called with the pictures drawn and their number.

    Returns
    -------
    path : Path

    Raises
    ------
    RecordError
        If the ending is neither, or ffmpeg is needed and missing.
    MissingExtraError
        If matplotlib is not installed.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in RATES:
        raise RecordError(f"{target}: a film ends in .mp4 or .gif")
    if ending == ".mp4" and not shutil.which("ffmpeg"):
        raise RecordError(f"{target}: MP4 needs the program ffmpeg, which is not installed; take .gif instead")
    rate = RATES[ending]
    n_pictures = max(1, round(seconds * rate))
    ticks = np.linspace(0, record.n_ticks - 1, n_pictures).round().astype(np.int64)
    with styled("the film"):
        pictures = _counted(Film(record).pictures(ticks), n_pictures, on_progress)
        (_write_mp4 if ending == ".mp4" else _write_gif)(pictures, target, rate)
    return target


def _counted(
    pictures: Iterable[Pixels], n_pictures: int, on_progress: Callable[[int, int], None] | None
) -> Iterator[Pixels]:
    for i, picture in enumerate(pictures):
        yield picture
        if on_progress is not None:
            on_progress(i + 1, n_pictures)


class Left:
    """The weight that is left, where it is."""

    label = "untreated weight [% of the whole per ha]"

    def __init__(self, record: Record) -> None:
        self.record = record
        self.grid = maps.grid_of(record)
        self.weight = record.samples["weight"].copy()
        table = record.consumption
        order = np.argsort(table["tick"], kind="stable")
        self.taken = {name: table[name][order] for name in ("tick", "sample", "amount")}
        self.applied = 0

    def draw_ground(self, axes: Any) -> None:
        """The density in grey, unless it moves."""
        if self.record.header.motion is None:
            maps.draw_weight(axes, self.record, self.record.samples["weight"], maps.greys(), top_share=0.35)

    def draw(self, axes: Any) -> Any:
        """What `at` changes."""
        return maps.draw_weight(axes, self.record, self.weight, maps.warm())

    def at(self, tick: int) -> Floats:
        """Values at a tick; ticks do not fall."""
        until = int(np.searchsorted(self.taken["tick"], tick, "right"))
        now = slice(self.applied, until)
        np.subtract.at(self.weight, self.taken["sample"][now], self.taken["amount"][now])
        self.applied = until
        return maps.per_hectare(self.record, np.maximum(self.weight, 0.0), self.grid, tick)


class Laid:
    """The dose that lies on the ground of a spraying mission; see `Left`."""

    label = "dose laid [L/ha]"

    def __init__(self, record: Record) -> None:
        self.record = record
        tick, cell, dose = laid(record)
        order = np.argsort(tick, kind="stable")
        self.tick, self.cell, self.dose = tick[order], cell[order], dose[order]
        self.wanted = cells_of(record, "target_l_ha")
        self.ground = np.zeros(self.wanted.size)
        self.top = max(float(self.wanted.max()), float(np.quantile(record.cells["deposit_l_ha"], 0.995)), 1e-9)
        self.applied = 0

    def draw_ground(self, axes: Any) -> None:
        """The dose wanted in grey."""
        draw_raster(axes, self.record, self.wanted, maps.greys(), 0.0, self.top / 0.35)

    def draw(self, axes: Any) -> Any:
        """What `at` changes."""
        return draw_raster(axes, self.record, self.ground.reshape(self.wanted.shape), maps.warm(), 0.0, self.top)

    def at(self, tick: int) -> Floats:
        """Values at a tick; ticks do not fall."""
        until = int(np.searchsorted(self.tick, tick, "right"))
        np.add.at(self.ground, self.cell[self.applied : until], self.dose[self.applied : until])
        self.applied = until
        return self.ground.reshape(self.wanted.shape)


class Film:
    """Pictures of a record; what does not change is drawn once."""

    def __init__(self, record: Record) -> None:
        from matplotlib.backends import backend_agg

        self.record = record
        self.position = record.by_tick("x_m", "y_m")
        self.remaining = truly_remaining(record)
        self.shown = Laid(record) if has_doses(record) else Left(record)
        figure = new_figure(WIDTH, maps.map_height(record, WIDTH - 1.9))
        agg: Any = backend_agg
        self.canvas = agg.FigureCanvasAgg(figure)
        self.axes = figure.subplots()
        self._draw_ground()
        self._add_moving()
        self.canvas.draw()
        figure.set_layout_engine("none")
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def pictures(self, ticks: NDArray[np.int64]) -> Iterator[Pixels]:
        """One picture a tick, shape (height, width, 4); ticks do not fall."""
        for tick in ticks.tolist():
            self._move_to(tick)
            self.canvas.restore_region(self.background)
            for artist in self.moving:
                self.axes.draw_artist(artist)
            yield np.asarray(self.canvas.buffer_rgba()).copy()

    def _draw_ground(self) -> None:
        """All that stays: axes, boundary, zones, what was to be treated, colour bar."""
        self.shown.draw_ground(self.axes)
        maps.frame(self.axes, self.record)
        self.title = self.axes.set_title("", animated=True)

    def _add_moving(self) -> None:
        """All that changes from picture to picture."""
        from matplotlib.collections import LineCollection

        n = self.record.header.n_agents
        few = n <= MANY_AGENTS
        colours = [agent_colour(r, n) for r in range(n)]
        self.weight = self.shown.draw(self.axes)
        maps.colour_bar(self.axes, self.weight, self.shown.label)
        self.trails = LineCollection([], colors=colours, linewidths=1.2 if few else 0.6, alpha=0.8)
        self.axes.add_collection(self.trails, autolim=False)
        size = 40 if few else 14 if n <= 150 else 5
        start = self.position[0]
        self.drones = self.axes.scatter(*start.T, s=size, c=colours, edgecolors="white", linewidths=0.6, zorder=4)
        self.moving = [self.weight, self.trails, self.drones, self.title]
        for artist in self.moving:
            artist.set_animated(True)

    def _move_to(self, tick: int) -> None:
        values = self.shown.at(tick)
        self.weight.set_array(np.ma.masked_less_equal(values, maps.NOTHING * self.weight.norm.vmax))
        self.drones.set_offsets(self.position[tick])
        self.trails.set_segments(self._trails(tick))
        seconds = tick * self.record.header.time_step_s
        self.title.set_text(f"{seconds:.0f} s, {100 * self.remaining[tick]:.1f} % untreated")

    def _trails(self, tick: int) -> list[Any]:
        first = max(0, tick - int(np.ceil(TRAIL_SHARE * self.record.n_ticks)))
        stride = max(1, (tick - first) * self.record.header.n_agents // TRAIL_POINTS)
        shown = np.append(np.arange(first, tick, stride), tick)
        return list(self.position[shown].transpose(1, 0, 2))


def _write_mp4(pictures: Iterable[Pixels], path: Path, rate: int) -> None:
    """Through ffmpeg, which reads the raw pictures."""
    pictures = iter(pictures)
    first = next(pictures)
    height, width = first.shape[:2]
    command = [
        "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{width}x{height}",
        "-r", str(rate), "-i", "-", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None
        assert ffmpeg.stderr is not None
        try:
            ffmpeg.stdin.write(first.tobytes())
            for picture in pictures:
                ffmpeg.stdin.write(picture.tobytes())
            ffmpeg.stdin.close()
        except BrokenPipeError:
            pass  # it says why below
        reason = ffmpeg.stderr.read().decode(errors="replace").strip()
    if ffmpeg.returncode:
        raise RecordError(
            f"{path}: ffmpeg cannot write it ({reason.splitlines()[-1] if reason else 'no reason given'})"
        )


def _write_gif(pictures: Iterable[Pixels], path: Path, rate: int) -> None:
    from PIL import Image

    def reduced(picture: Pixels) -> Any:
        """In 256 colours that also cover the few dots of the drones."""
        whole = Image.fromarray(np.ascontiguousarray(picture[:, :, :3]))
        return whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)

    images = map(reduced, pictures)
    first = next(images)
    first.save(path, save_all=True, append_images=images, duration=round(1000 / rate), loop=0)
