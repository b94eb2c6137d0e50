"""Reasons to plan anew."""

import pytest

from aegle.domain.errors import FileError
from aegle.response.triggers import FACTS, fired, triggers

START = '[[trigger]]\nid = "a"\ntext = ""\nsource = ""\n'


@pytest.mark.parametrize(
    ("fact", "beside", "at", "name"),
    [
        ("goals_lost", 0.0, 1.0, "goal-lost"),
        ("target_d95_percent", 97.1, 97.0, "target-dose"),
        ("gross_volume_percent", 70.1, 70.0, "tumour-shrunk"),
        ("gross_volume_percent", 119.9, 120.0, "tumour-grown"),
        ("outline_mm", 9.9, 10.0, "outline-changed"),
    ],
)
def test_a_trigger_fires_at_its_limit_and_not_beside_it(fact, beside, at, name):
    assert fired(triggers(), {fact: beside}) == ()
    (found,) = fired(triggers(), {fact: at})
    assert (found.id, found.value) == (name, at)
    assert str(round(at)) in str(found.reason)
    assert found.source


def test_every_fact_has_a_trigger_and_an_unknown_one_fires_nothing():
    assert {one.fact for one in triggers()} == set(FACTS)
    assert fired(triggers(), {}) == ()


def test_a_department_has_its_own(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[trigger]]\nid = "d95"\nfact = "target_d95_percent"\nat_most = 99\n'
        'text = "{value:.1f} % of {limit:g} %"\nsource = "our department"\n'
    )

    (found,) = fired(triggers(own), {"target_d95_percent": 98.5, "goals_lost": 3.0})

    assert str(found.reason) == "98.5 % of 99 %"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trigger = 3", "trigger"),
        ("[[trigger", "Expected|expected"),
        (
            '[[trigger]]\nid = "a"\nfact = "age"\ntext = ""\nsource = ""\nat_most = 1',
            "asks for 'age'",
        ),
        ('[[trigger]]\nid = "a"\nfact = "goals_lost"\ntext = ""\nsource = ""', "one of them"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, content, message):
    own = tmp_path / "own.toml"
    own.write_text(content)

    with pytest.raises(FileError, match=message) as caught:
        triggers(own)
    assert "own.toml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        triggers(tmp_path / "none.toml")
