"""Where moving samples are: closed forms, the way back, plain data, and files that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.density.moving import Drift, Moves, Rotation, VelocityField, motion_from_mapping, motion_of
from d2oc.errors import DensityError
from d2oc.scenario.schema import FieldMotion

PLACES = np.random.default_rng(2).uniform(20.0, 80.0, (50, 2))


def turning_field(rate, n=21, cell=5.0):
    """Rigid rotation about (50, 50) on a grid: linear in space, so the grid holds it exactly."""
    centre = (np.arange(n) + 0.5) * cell - 2.5
    x, y = np.meshgrid(centre, centre)
    return VelocityField(rate * np.stack([-(y - 50.0), x - 50.0], axis=-1)[None], (-2.5, -2.5), cell, 1.0)


MOTIONS = [Drift((0.7, -0.3)), Rotation((50.0, 50.0), 0.04), turning_field(0.04)]


@pytest.mark.parametrize("motion", MOTIONS, ids=["drift", "rotation", "field"])
def test_the_way_there_and_back(motion):
    there = motion.carried(PLACES, 3.0, np.linspace(4.0, 20.0, 50))
    back = motion.carried(there, np.linspace(4.0, 20.0, 50), 3.0)
    assert np.abs(there - PLACES).max() > 1.0
    np.testing.assert_allclose(back, PLACES, atol=1e-6)
    again = motion_from_mapping(motion.as_mapping())
    np.testing.assert_array_equal(again.carried(PLACES, 3.0, 20.0), motion.carried(PLACES, 3.0, 20.0))


def test_drift_and_rotation_are_their_formulas():
    np.testing.assert_allclose(MOTIONS[0].carried(PLACES, 1.0, 5.0), PLACES + np.array([2.8, -1.2]))
    np.testing.assert_allclose(
        Rotation((1.0, 2.0), np.pi / 2).carried(np.array([[2.0, 2.0]]), 0.0, 1.0), [[1.0, 3.0]], atol=1e-12
    )


def test_a_field_that_turns_is_a_rotation():
    np.testing.assert_allclose(
        turning_field(0.04).carried(PLACES, 0.0, 20.0), MOTIONS[1].carried(PLACES, 0.0, 20.0), atol=1e-5
    )


def test_a_field_that_changes_is_linear_in_time():
    velocity = np.zeros((3, 2, 2, 2))
    velocity[1:, ..., 0] = 1.0
    field = VelocityField(velocity, (0.0, 0.0), 50.0, 10.0)
    # x' = t / 10 for 10 s, then 1
    np.testing.assert_allclose(field.carried(np.array([[40.0, 40.0]]), 0.0, 30.0), [[65.0, 40.0]], atol=1e-9)


def test_ticks_are_time_steps():
    np.testing.assert_allclose(Moves(Drift((1.0, 0.0)), 0.2).between(np.zeros((1, 2)), 5, 10), [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((4, 4)), "has shape (4, 4); velocities need (rows, columns, 2), or (times, rows, columns, 2)"),
        (np.full((4, 4, 2), np.nan), "holds a velocity that is not finite"),
        (np.zeros((200, 200, 2)), "has 40,000 velocities, at most 20,000 are read"),
        (np.array([["a"]]), "must be one array of real numbers, as numpy.save writes it"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, array, sentence):
    file = tmp_path / "wind.npy"
    np.save(file, array)
    with pytest.raises(DensityError, match=r"wind\.npy") as error:
        motion_of(FieldMotion(kind="field", file=file, cell_size_m=5.0))
    assert sentence in str(error.value)


def test_a_file_of_another_kind(tmp_path):
    file = tmp_path / "wind.npy"
    file.write_text("no array")
    with pytest.raises(DensityError, match=r"is not a NumPy \.npy file"):
        motion_of(FieldMotion(kind="field", file=file, cell_size_m=5.0))
    with pytest.raises(DensityError, match="cannot be read"):
        motion_of(FieldMotion(kind="field", file=tmp_path / "none.npy", cell_size_m=5.0))
