"""A prescription with goals that a library of earlier patients suggests."""

from pathlib import Path
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.plan import Metric, Prescription
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.options import option
from aegle.planning.expected_dose import ExpectationOptions, expect
from aegle.planning.experience_file import load
from aegle.planning.starting_goals import (
    StartingGoalOptions,
    starting_goals,
    with_starting_goals,
)


@dataclass(frozen=True, kw_only=True)
class ExperienceOptions(StartingGoalOptions):
    """Which earlier patients a plan starts from, and how much is asked of it."""

    library: Annotated[
        str, option("File of earlier patients whose doses give further goals; empty: none")
    ] = ""


def experienced(
    prescription: Prescription, structures: StructureSet, *, options: ExperienceOptions
) -> tuple[Prescription, tuple[Text, ...]]:
    """Add the goals that earlier patients suggest, and say so; without a library nothing.

    Args:
        prescription: As asked; its own goals stay as they are.
        structures: Of the patient.
        options: The library, and how much is asked.

    Raises:
        FileError: The library cannot be read.
        InputError: No structure is known to it.
    """
    if not options.library:
        return prescription, ()
    library = load(Path(options.library))
    prescribed_gy = {prescription.target: prescription.dose_gy}
    for goal in prescription.goals:
        is_coverage = goal.metric is Metric.DOSE_AT_VOLUME and goal.at_least is not None
        if is_coverage and goal.structure in structures and goal.at_least:
            prescribed_gy.setdefault(goal.structure, goal.at_least)
    found = expect(library, structures, prescribed_gy, options=ExpectationOptions())
    goals = starting_goals(found, options=options)
    # The target is filled as prescribed, whatever others were given.
    wished = with_starting_goals(
        prescription, (goal for goal in goals if goal.structure not in prescribed_gy)
    )
    added = len(wished.goals) - len(prescription.goals)
    said = Text(
        "{added} goals come from {count} earlier patients ({file}); they say what was reached for "
        "alike anatomy, not what is tolerated.",
        {"added": added, "count": len(library), "file": Path(options.library).name},
    )
    return wished, (said,)
