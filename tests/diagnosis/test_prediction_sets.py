"""Sets that a model's file promises: limits by hand, groups, and what is not known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aegle.diagnosis.conformal import ConformalOptions
from aegle.diagnosis.prediction_sets import calibrated, prediction_set
from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions

OPTIONS = ConformalOptions(alpha=0.1)


def predictions(of_truth, sexes=()):
    """Two classes; the true one, the second, has the stated probability."""
    shares = np.asarray(of_truth, float)
    count = len(shares)
    return Predictions(
        classes=("none", "pneumonia"),
        names=tuple(map(str, range(count))),
        truth=np.ones(count, int),
        probabilities=np.stack([1 - shares, shares], axis=1),
        groups=tuple(map(str, range(count))),
        columns={"sex": tuple(sexes)} if sexes else {},
    )


def kept(*given, **more):
    """As it comes out of a model's file."""
    return json.loads(json.dumps(calibrated(*given, options=OPTIONS, **more)))


def test_the_limit_is_the_ninth_smallest_of_nine_scores():
    """k = ceil(10 x 0.9) = 9: the largest score, of the truth at 0.2, so all from 0.2 on stay."""
    found = kept(predictions([0.9, 0.8, 0.95, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]))

    assert prediction_set(found, (0.79, 0.21), {}).categories == ("none", "pneumonia")
    assert prediction_set(found, (0.81, 0.19), {}).categories == ("none",)
    said = prediction_set(found, (0.19, 0.81), {})
    assert (said.categories, said.coverage, said.group) == (("pneumonia",), pytest.approx(0.9), "")
    assert said.calibration_cases == 9


def test_a_group_that_was_calibrated_has_its_own_promise_and_others_that_of_all():
    hard = [0.35 + i / 1000 for i in range(20)]
    easy = [0.9 + i / 1000 for i in range(20)]
    found = kept(predictions(hard + easy, ["F"] * 20 + ["M"] * 20), "sex")

    women = prediction_set(found, (0.6, 0.4), {"sex": "F"})
    men = prediction_set(found, (0.6, 0.4), {"sex": "M"})
    unknown = prediction_set(found, (0.6, 0.4), {"sex": "O"})
    assert (women.categories, women.group) == (("none", "pneumonia"), "sex F")
    assert (men.categories, men.group, men.calibration_cases) == ((), "sex M", 20)
    assert (unknown.group, unknown.calibration_cases) == ("", 40)


def test_coverage_is_measured_on_cases_that_the_limits_do_not_know():
    """Five parts of 200: what is held lies near what is promised, by the Beta law within 5 %."""
    shares = np.random.default_rng(0).uniform(size=1000)
    found = kept(predictions(shares))["all"]["measured"]["all"]

    assert found == pytest.approx(0.9, abs=0.05)
    assert found != 0.9


def test_no_limits_no_set_and_damaged_ones_are_refused():
    assert prediction_set(None, (0.5, 0.5), {}) is None
    found = kept(predictions([0.5] * 20))
    with pytest.raises(InputError, match="no conformal limits"):
        prediction_set({**found, "all": {**found["all"], "limits": 3}}, (0.5, 0.5), {})
    with pytest.raises(InputError, match="one column for each"):
        prediction_set(found, (0.5, 0.3, 0.2), {})


def test_an_unknown_column_is_refused():
    with pytest.raises(InputError, match="no column 'sex'"):
        calibrated(predictions([0.5] * 20), "sex", options=OPTIONS)


def test_a_group_whose_images_all_belong_together_has_limits_but_no_measured_coverage():
    made = predictions([0.6] * 30, ["F"] * 20 + ["O"] * 10)
    together = replace(made, groups=(*made.groups[:20], *["same patient"] * 10))
    found = prediction_set(kept(together, "sex"), (0.4, 0.6), {"sex": "O"})

    assert found.calibration_cases == 10
    assert found.measured_coverage is None
