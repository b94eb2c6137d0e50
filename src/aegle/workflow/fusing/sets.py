"""Sets of classes that hold the true one as often as promised, by what is missing of a patient.

Limits come from held-out rows: each asked with everything that is known of it, and again without
each modality. What is promised is promised among patients of whom the same is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aegle.diagnosis.conformal import ConformalOptions, calibrate, from_plain
from aegle.domain.prediction import Predictions
from aegle.learning.fusion.table import Table, Values

COMPLETE = "complete"
"""Group of patients of whom something is known in each modality."""


def group_of(modalities: Sequence[str], present: Sequence[bool]) -> str:
    """Return the group of a patient: which modalities are missing."""
    missing = [name for name, there in zip(modalities, present, strict=True) if not there]
    return f"without {', '.join(missing)}" if missing else COMPLETE


def limits(table: Table, held_out: Mapping[str, Predictions]) -> dict[str, Any]:
    """Return limits as plain data.

    Args:
        table: Its rows are called by their places.
        held_out: By the modality that was taken away, empty for none.
    """
    groups = []
    for removed, said in held_out.items():
        rows = table.rows(np.array([int(name) for name in said.names], np.int64))
        present = (rows.without(removed) if removed else rows).present()
        groups += [group_of(table.modalities, row) for row in present.tolist()]
    every = tuple(held_out.values())
    made = calibrate(
        np.concatenate([said.probabilities for said in every]),
        np.concatenate([said.truth for said in every]),
        groups,
        classes=every[0].classes,
        options=ConformalOptions(),
    )
    return made.as_plain()


def sets_of(kept: Mapping[str, Any] | None, table: Table, risk: Values) -> list[dict[str, Any]]:
    """Return the set of each row with what is promised of it.

    Args:
        kept: Limits as plain data; None if there are none, as for survival.
        table: Rows that were asked.
        risk: Logit of the positive class, one per row.

    Returns:
        Nothing without limits; ``set`` is None where no such patient was calibrated on.
    """
    if kept is None:
        return [{} for _ in risk]
    classifier = from_plain(kept)
    positive = 1 / (1 + np.exp(-risk))
    made: list[dict[str, Any]] = []
    for share, present in zip(positive, table.present().tolist(), strict=True):
        group = group_of(table.modalities, present)
        limit = classifier.limits.get(group)
        if limit is None:
            made.append({"set": None, "group": group, "calibration_cases": 0})
            continue
        stays = classifier.sets(np.array([[1 - share, share]]), [group])[0]
        made.append(
            {
                "set": [c for c, is_in in zip(classifier.classes, stays, strict=True) if is_in],
                "coverage": 1 - limit.alpha,
                "group": group,
                "calibration_cases": limit.cases,
            }
        )
    return made
