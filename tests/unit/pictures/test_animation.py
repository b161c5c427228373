"""Films have the asked duration whatever the mission, and their pictures show the mission."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from d2oc.errors import RecordError
from d2oc.metrics import weight_left
from d2oc_viz.animation import RATES, Film, animate
from d2oc_viz.drawing import styled


@pytest.mark.parametrize(
    "shape", [{}, {"n_agents": 1, "n_steps": 0, "n_samples": 1}, {"n_agents": 200, "n_steps": 4}], ids=str
)
def test_a_gif_lasts_as_long_as_asked(make_record, tmp_path, shape):
    from PIL import Image

    with Image.open(animate(make_record(**shape), tmp_path / "film.gif", seconds=0.5)) as film:
        shown = sum(film.seek(i) or film.info["duration"] for i in range(film.n_frames))
    assert shown == pytest.approx(500, abs=40)  # hundredths of a second are the grid of GIF


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffmpeg is missing")
def test_an_mp4_lasts_as_long_as_asked(record, tmp_path):
    path = animate(record, tmp_path / "film.mp4", seconds=1.0)
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "json", str(path)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert float(told["format"]["duration"]) == pytest.approx(1.0, abs=0.05)


def test_the_last_picture_shows_the_end(record):
    with styled():
        film = Film(record)
        list(film.pictures(np.array([0, 10, record.n_ticks - 1])))
    np.testing.assert_allclose(film.drones.get_offsets(), record.by_tick("x_m", "y_m")[-1])
    np.testing.assert_allclose(np.maximum(film.shown.weight, 0), weight_left(record), atol=1e-12)
    assert film.title.get_text() == "20 s, 25.0 % untreated"


def test_the_film_of_a_spraying_mission_ends_at_the_doses_of_the_record(sprayed):
    with styled():
        film = Film(sprayed)
        list(film.pictures(np.array([0])))
        assert film.weight.get_array().mask.all()
        list(film.pictures(np.array([20, sprayed.n_ticks - 1])))
    laid = np.ma.filled(film.weight.get_array(), 0.0).ravel()
    np.testing.assert_allclose(laid, sprayed.cells["deposit_l_ha"], atol=0.1)


def test_progress_counts_the_pictures(record, tmp_path):
    told = []
    animate(record, tmp_path / "film.gif", seconds=0.25, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, round(0.25 * RATES[".gif"])) for i in range(3)]


def test_another_ending_is_refused(record, tmp_path):
    with pytest.raises(RecordError, match=r"film\.avi: a film ends in \.mp4 or \.gif"):
        animate(record, tmp_path / "film.avi")


def test_without_ffmpeg_the_sentence_names_the_way_out(record, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RecordError, match=r"MP4 needs the program ffmpeg, which is not installed; take \.gif instead"):
        animate(record, tmp_path / "film.mp4")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is missing")
def test_what_ffmpeg_complains_about_is_told(record, tmp_path):
    with pytest.raises(RecordError, match="ffmpeg cannot write it"):
        animate(record, tmp_path / "no folder" / "film.mp4", seconds=0.2)
