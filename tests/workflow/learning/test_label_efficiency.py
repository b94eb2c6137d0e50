"""Fewer labels, trained and judged alike."""

import csv

import pytest

from aegle import api
from aegle.domain.errors import OptionError


def test_each_share_of_the_labels_is_judged_on_the_same_images(with_, tmp_path):
    validate = {"how": "holdout", "share": 0.5, "tune": 0, "label_shares": [1, 0.5]}

    done = api.train(with_(train={"epochs": 2}, validate=validate), tmp_path / "run")

    few, whole = done.numbers["label_efficiency"]
    assert (few["share"], whole["share"]) == (0.5, 1)
    assert (few["labelled"], whole["labelled"]) == (12, 24)
    assert few["images"] == whole["images"] == 24
    assert whole["scores"]["auc"] == done.numbers["scores"]["auc"]
    with done.files["label efficiency table"].open() as file:
        assert [row["labels"] for row in csv.DictReader(file)] == ["50 %", "100 %"]
    assert done.files["label efficiency picture"].read_bytes().startswith(b"\x89PNG")


def test_from_scratch_leaves_the_weights_out(spot_model, with_, tmp_path):
    validate = {"label_shares": [1], "scratch_shares": [1], "how": "holdout", "share": 0.5}
    given = with_(
        train={"epochs": 1},
        validate=validate,
        transfer={"weights": str(spot_model), "mode": "probe"},
    )

    done = api.train(given, tmp_path / "run")

    rows = {row["start"]: row["log_loss"] for row in map(flat, done.numbers["label_efficiency"])}
    alone = api.train(
        {**given, "transfer": {}, "validate": validate | {"label_shares": []}}, tmp_path / "alone"
    )
    assert rows["from scratch"] == alone.numbers["scores"]["log_loss"]["value"]
    assert rows["this recipe"] < rows["from scratch"]


def flat(row):
    return {"start": row["start"], "log_loss": row["scores"]["log_loss"]["value"]}


def test_a_share_above_all_labels_is_refused(with_):
    with pytest.raises(OptionError, match=r"validate\.label_shares"):
        api.recipe(with_(validate={"label_shares": [1.5]}))
