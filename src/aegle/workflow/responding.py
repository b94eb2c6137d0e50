"""Response from measurements alone: one question, many, or the table of a cohort.

Writes what was found as JSON and, for a cohort, a waterfall plot and a Kaplan-Meier curve.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from aegle.domain.errors import FileError, InputError, OptionError
from aegle.response import cohort, irecist, sum_criteria
from aegle.response.answers import answer, subjects
from aegle.response.best_overall import BestResponseOptions
from aegle.response.cohort import Outcome
from aegle.response.criterion import Judgement, load, names
from aegle.response.patient_course import PatientCourse
from aegle.response.plain_judgement import judged
from aegle.response.tables import read_cohort

RESULTS, WATERFALL, SURVIVAL = "response.json", "waterfall.png", "time_to_progression.png"


def respond(
    subject: str,
    source: str | Path | Mapping[str, Any],
    *,
    policies: Mapping[str, str] | None = None,
    out: str | Path | None = None,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Judge measurements by a criterion.

    Args:
        subject: Id of the criterion, or ``doubling-time``.
        source: A question as a mapping; a JSON file with one or a list of them; a CSV table or a
            folder with SDTM tables.
        policies: Choices that differ from the criterion's defaults.
        out: Folder for the results; nothing is written without.

    Raises:
        OptionError: There is no such criterion, policy or choice.
        InputError: A question is incomplete or contradicts itself.
        FileError: The file cannot be read; the message names file, finding and remedy.
    """
    if subject not in subjects():
        raise OptionError(f"No response criterion '{subject}'; known: {', '.join(subjects())}.")
    folder = None if out is None else Path(out)
    if isinstance(source, Mapping):
        found: Any = answer(subject, source, policies)
    elif (path := Path(source)).suffix.lower() == ".json":
        found = _from_json(subject, path, policies or {})
    else:
        found = _of_cohort(subject, path, policies or {}, folder)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, ensure_ascii=False, indent=1, default=str)
        (folder / RESULTS).write_text(text + "\n", encoding="utf-8")
    return found  # type: ignore[no-any-return]


def criteria() -> list[dict[str, Any]]:
    """Return every criterion with its thresholds, policies and sources, as plain data."""
    return [
        {
            "id": c.id,
            "title": c.title,
            "measure": c.measure,
            "unit": c.unit,
            "citation": c.citation,
            "confirmation": c.confirmation,
            "thresholds": {
                k: {"value": float(t.value), "unit": t.unit, "meaning": t.meaning}
                for k, t in c.thresholds.items()
            },
            "policies": {
                k: {"meaning": p.meaning, "default": p.default, "values": p.values}
                for k, p in c.policies.items()
            },
        }
        for c in map(load, names())
    ]


def _from_json(subject: str, file: Path, policies: Mapping[str, str]) -> Any:
    remedy = "Correct the entry; `aegle respond --help` shows an example."
    try:
        # Decimals stay as they are written: 9.8 is ninety-eight tenths.
        facts = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        words = f"cannot be read as JSON ({error})."
        raise FileError(file, words, "Give a JSON file or a CSV table.") from error
    several = facts if isinstance(facts, list) else [facts]
    found = []
    for number, question in enumerate(several, start=1):
        where = f"entry {number}: " if isinstance(facts, list) else ""
        if not isinstance(question, Mapping):
            raise FileError(file, f"{where}it is {question!r}, not names with values.", remedy)
        try:
            found.append(answer(subject, question, policies))
        except (InputError, KeyError, ValueError, TypeError, AttributeError) as error:
            words = f"{where}{error}" if isinstance(error, InputError) else f"{where}{error!r}."
            raise FileError(file, words, remedy) from error
    return found if isinstance(facts, list) else found[0]


def _judge(course: PatientCourse, subject: str, policies: Mapping[str, str]) -> Judgement:
    if subject == "irecist":
        return irecist.judge(course, policies=policies)
    return sum_criteria.judge(course, subject, policies=policies)


def _of_cohort(
    subject: str, source: Path, policies: Mapping[str, str], out: Path | None
) -> dict[str, Any]:
    if "progression_increase" not in load(subject).thresholds or subject in _NOT_OF_TABLES:
        raise OptionError(f"{subject} is not judged from a table; give a JSON file.")
    entries = read_cohort(source)
    options = BestResponseOptions()
    rows, outcomes = [], []
    for entry in entries:
        judgement = _judge(entry.course, subject, policies)
        outcome = cohort.outcome_of(entry.course, judgement, options=options)
        outcomes.append((entry.evaluator, outcome))
        data = judged(entry.course, subject, policies)
        visits = [
            visit | {"name": name}
            for visit, name in zip(data["visits"], entry.visits[1:], strict=True)
        ]
        rows.append(
            {
                "patient": entry.patient,
                "evaluator": entry.evaluator,
                "best": outcome.best,
                "best_percent": outcome.best_percent,
                "days": outcome.days,
                "progressed": outcome.progressed,
            }
            | data
            | {"visits": visits}
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _draw(outcomes, _limits_percent(subject, policies), out)
    return {
        "criterion": subject,
        "citation": load(subject).citation,
        "policies": load(subject).choose(policies),
        "patients": rows,
    }


_NOT_OF_TABLES = ("lugano-2014", "percist-1.0")


def _limits_percent(subject: str, policies: Mapping[str, str]) -> tuple[float, float]:
    """Return the changes that make a response and progression [%]."""
    criterion = load(subject)
    variant = "_sphere" if criterion.choose(policies).get("thresholds") == "sphere" else ""
    return (
        -100 * float(criterion[f"response_decrease{variant}"]),
        100 * float(criterion[f"progression_increase{variant}"]),
    )


def _draw(outcomes: Sequence[tuple[str, Outcome]], limits: tuple[float, float], out: Path) -> None:
    """Write the pictures; where several evaluators read, those of the first one in the table."""
    first = outcomes[0][0]
    own = [outcome for evaluator, outcome in outcomes if evaluator == first]
    if any(o.best_percent is not None for o in own):
        (out / WATERFALL).write_bytes(cohort.waterfall(own, limits_percent=limits).data)
    name = first or "all"
    curve = cohort.kaplan_meier([o.days for o in own], [o.progressed for o in own], name=name)
    (out / SURVIVAL).write_bytes(cohort.survival_picture([curve], "progression").data)
