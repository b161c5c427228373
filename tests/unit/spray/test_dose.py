"""From severity to dose."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.scenario.schema import DoseTable
from d2oc.spray.dose import DoseResponse, cleaned, wanted_dose


def test_ed90_of_the_log_logistic_curve_is_ed50_times_nine_to_the_power_one_over_b():
    response = DoseResponse(ed50=4.0, slope=2.5)
    assert response.dose_for(0.1) == pytest.approx(4.0 * 9 ** (1 / 2.5), rel=1e-12)
    assert response.survival(4.0) == pytest.approx(0.5)


@pytest.mark.parametrize("survival", [0.06, 0.2, 0.5, 0.89])
def test_the_inverse_undoes_the_curve(survival):
    response = DoseResponse(ed50=4.0, slope=2.5, untreated=0.9, least=0.05)
    assert response.survival(response.dose_for(survival)) == pytest.approx(survival, rel=1e-12)


def test_what_no_dose_reaches_is_infinite_and_what_needs_none_is_zero():
    response = DoseResponse(ed50=4.0, slope=2.5, untreated=0.9, least=0.05)
    assert np.isinf(response.dose_for(0.05))
    assert response.dose_for(0.95) == 0.0


def test_threshold_gives_one_rate_above_it_and_nodata_gets_nothing():
    table = DoseTable(threshold=2.0, rate_l_ha=12.0)
    assert wanted_dose(np.array([0.0, 2.0, 2.1, np.nan, 50.0]), table).tolist() == [0.0, 0.0, 12.0, 0.0, 12.0]


def test_steps_give_the_rate_of_the_last_level_reached():
    table = DoseTable(kind="steps", steps=((5.0, 20.0), (1.0, 10.0)), maximum_l_ha=30.0)
    assert wanted_dose(np.array([0.5, 1.0, 4.9, 5.0, 9.0]), table).tolist() == [0.0, 10.0, 10.0, 20.0, 20.0]


def test_response_leaves_what_is_tolerated_as_far_as_the_label_allows():
    table = DoseTable(kind="response", ed50_l_ha=4.0, slope=2.0, tolerated=1.0, minimum_l_ha=3.0, maximum_l_ha=20.0)
    severity = np.array([0.5, 1.2, 4.0, 10.0, 1000.0])
    dose = wanted_dose(severity, table)
    assert dose[0] == 0.0  # less than tolerated needs nothing
    assert dose[1] == 3.0  # raised to the label minimum
    left = severity * DoseResponse(4.0, 2.0).survival(dose)
    assert left[2:4] == pytest.approx([1.0, 1.0], rel=1e-12)
    assert dose[4] == 20.0  # cut to the label maximum


def test_small_patches_go_and_the_others_grow():
    dose = np.zeros((20, 20))
    dose[3, 3] = 9.0  # 4 m2 at 2 m cells
    dose[10:13, 10:13] = 5.0  # 36 m2
    result = cleaned(dose, 2.0, minimum_patch=5.0, dilation=2.0)
    assert result[3, 3] == 0.0
    assert (result > 0).sum() == 9 + 12  # one cell more on each side
    assert result.max() == 5.0
