"""Treatment plans."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.api.arguments import moment_given, options_given, require_language
from aegle.workflow.options import CaseOptions

if TYPE_CHECKING:
    from aegle.report.language import Language
    from aegle.workflow.adapting import AdaptationInputs, Adapted
    from aegle.workflow.pipeline import Announce
    from aegle.workflow.plan_comparing import Compared, ComparisonInputs
    from aegle.workflow.radiotherapy import PlanInputs, Planned


def plan(
    inputs: "str | Path | PlanInputs",
    out: str | Path | None = None,
    *,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
    announce: "Announce | None" = None,
) -> "Planned":
    """Make a radiotherapy plan and write it as RT objects, JSON and a page.

    Args:
        inputs: Folder of a case, or ``api.PlanInputs(ct=..., structures=..., prescription=...)``.
        out: Folder for the plan; that of a case goes to its folder ``plan`` by default.
        options: How each step is set; ``{"photons": {"beams": 9}}`` will do.
        language: Language of the page, ``en`` or ``zh``.
        now: Time stamp on everything written, or its ISO 8601 text; the present by default.
        announce: Told of each step before it starts.

    Raises:
        InputError: No plan can be made; the message says what is wrong and what to do.
        OptionError: Case and files contradict each other, or an option is wrong.
    """
    chosen, moment = options_given(options), moment_given(now)
    require_language(language)
    from aegle.workflow import radiotherapy
    from aegle.workflow.pipeline import unannounced

    request = radiotherapy.Request(
        inputs=radiotherapy.PlanInputs(case=inputs) if isinstance(inputs, str | Path) else inputs,
        out=None if out is None else Path(out),
        now=moment,
        options=chosen,
        language=language,
    )
    return radiotherapy.run(request, announce=announce or unannounced)


def protocols() -> list[dict[str, Any]]:
    """Return the prescriptions that come with Aegle, with their goals and sources."""
    from dataclasses import asdict

    from aegle.planning.protocol import protocols as shipped

    return [
        {
            "name": one.name,
            "title": one.title,
            "source": one.source,
            "target": one.prescription.target,
            "dose_gy": one.prescription.dose_gy,
            "fractions": one.prescription.fractions,
            "goals": [asdict(g) | {"metric": g.metric.value} for g in one.prescription.goals],
        }
        for one in shipped()
    ]


def compare(
    inputs: "ComparisonInputs",
    out: str | Path,
    *,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
) -> "Compared":
    """Put two plans of one patient beside each other and write a page.

    Args:
        inputs: ``api.ComparisonInputs(first=..., second=..., ct=...)``.
        out: Folder for page and numbers.
        options: ``{"gamma": {"dose_percent": 3, "distance_mm": 2}}`` sets the tolerances.
        language: Of the page, ``en`` or ``zh``.
        now: Time stamp on the page; the present by default.

    Raises:
        InputError: A folder holds no plan, or a CT or prescription is needed, or patients differ.
    """
    require_language(language)
    from aegle.workflow.plan_comparing import ComparisonRequest as Request
    from aegle.workflow.plan_comparing import compare_plans

    return compare_plans(
        Request(inputs, Path(out), moment_given(now), options_given(options), language)
    )


def adapt(
    inputs: "AdaptationInputs",
    out: str | Path,
    *,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
) -> "Adapted":
    """Judge a plan that is being given on a later CT, and propose another if there is a reason.

    Args:
        inputs: Folder of the plan, CT of the day and what is drawn on it.
        out: Folder for numbers, page and proposal.
        options: How CTs are aligned, doses added up, and when a plan is made anew.
        language: Language of the page.
        now: Time stamped on everything written; the present by default.

    Raises:
        InputError: A file cannot be used; the message names file, finding and remedy.
        OptionError: Something that is needed is not given.
    """
    require_language(language)
    from aegle.workflow.adapting import AdaptationRequest, adapt_plan

    return adapt_plan(
        AdaptationRequest(
            inputs=inputs,
            out=Path(out),
            now=moment_given(now),
            options=options_given(options),
            language=language,
        )
    )
