"""Python takes the plain forms that people write, and explains the others before it works."""

from datetime import datetime
from pathlib import Path

import pytest

from aegle import api
from aegle.domain.errors import OptionError
from aegle.workflow import journey


@pytest.fixture
def asked(monkeypatch):
    """Return a function that calls the API and gives the request it makes."""
    requests = []
    monkeypatch.setattr(journey, "run", lambda request, announce: requests.append(request))

    def ask(paths="scan.dcm", **given):
        api.run(paths, "case", **given)
        return requests.pop()

    return ask


@pytest.mark.parametrize(
    "paths", ["scan.dcm", Path("scan.dcm"), ["scan.dcm"], (Path("scan.dcm"),), iter(["scan.dcm"])]
)
def test_one_path_is_as_good_as_several(asked, paths):
    assert asked(paths).paths == (Path("scan.dcm"),)


def test_no_path_is_refused(asked):
    with pytest.raises(OptionError, match="at least one file"):
        asked([])


def test_options_may_be_a_mapping_of_sections(asked):
    request = asked(options={"prescription": {"dose_gy": 50}, "photons": {"gantry_deg": [0, 90]}})

    assert request.options.prescription.dose_gy == 50
    assert request.options.photons.gantry_deg == (0, 90)
    assert request.options.images == api.CaseOptions().images


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prescripton": {}}, "Unknown section 'prescripton'"),
        ({"images": {"tilt": "x"}}, r"images\.tilt: Input should be"),
        ("images.tilt=resample", "give CaseOptions, or a mapping"),
    ],
)
def test_other_options_are_explained(asked, options, message):
    with pytest.raises(OptionError, match=message):
        asked(options=options)


@pytest.mark.parametrize(
    "now", ["2026-01-02T03:04:05", "2026-01-02 03:04:05+09:00", datetime(2026, 1, 2, 3, 4, 5)]
)
def test_time_may_be_text(asked, now):
    assert asked(now=now).now == datetime(2026, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("now", ["tomorrow", 5])
def test_what_is_no_time_is_refused(asked, now):
    with pytest.raises(OptionError, match="is no time for now"):
        asked(now=now)


@pytest.mark.parametrize(
    "call", [lambda: api.run("x", "y", language="fr"), lambda: api.demo("y", language="fr")]
)
def test_language_is_checked_before_anything_runs(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OptionError, match="No language 'fr'; known: en, zh"):
        call()

    assert list(tmp_path.iterdir()) == []


def test_everything_offered_is_there():
    assert all(getattr(api, name) is not None for name in api.__all__)


def test_a_recipe_is_read_from_sections_and_settings():
    recipe = api.recipe({"data": {"path": "x"}, "train": {"epochs": 3}}, "train.batch=8")

    assert (recipe.train.epochs, recipe.train.batch) == (3, 8)


@pytest.mark.parametrize("source", [{}, {"data": {}}, {"train": {"epochs": 3}}])
def test_a_recipe_without_images_is_refused(source):
    with pytest.raises(OptionError, match="no images are named"):
        api.recipe(source)
