"""The model card: what a model is, what it was made from, what was measured, and its limits.

Headings after Mitchell M et al. Model cards for model reporting. FAT* 2019:220-229,
doi:10.1145/3287560.3287596.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aegle.evaluation.bootstrap import Estimate, Measured
from aegle.evaluation.cross_validation import as_markdown
from aegle.evaluation.evaluate import Evaluation, limits
from aegle.evaluation.outline_card import Judged as Located
from aegle.evaluation.outline_card import outline_card_section
from aegle.evaluation.page import RESEARCH_USE
from aegle.evaluation.probes import PROBES
from aegle.evaluation.reporting import reporting_section
from aegle.evaluation.scores import SCORES
from aegle.evaluation.shortcuts import AuditRow
from aegle.evaluation.subgroups import SubgroupTable
from aegle.evaluation.table import figure, interval, markdown_table, with_interval


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """A data set that a model was trained on or started from."""

    name: str
    citation: str
    licence: str
    used: str = ""
    """How many images of what, or that its weights were the start."""


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What cannot be measured."""

    name: str
    """Name with version."""
    task: str
    """In words, e.g. 'tells pneumonia from none on a frontal chest radiograph'."""
    network: str
    parameters: int
    classes: tuple[str, ...]
    licence: str
    digest: str = ""
    """SHA-256 of the file."""
    size_bytes: int = 0
    date: str = ""
    made_for: str = ""
    """Modalities, body parts, views, ages."""
    intended_use: str = ""
    out_of_scope: tuple[str, ...] = ()
    training_data: tuple[DataFacts, ...] = ()
    evaluation_data: str = ""
    ethical: tuple[str, ...] = ()
    recipe: str = ""
    """The recipe as TOML."""
    command: str = ""
    """What makes the model anew."""
    versions: Mapping[str, str] = field(default_factory=dict)


RESEARCH = (
    "Research on image analysis and teaching. Its output may be shown to a reader as one "
    "suggestion among others, together with the scores below."
)
NOT_FOR = (
    "Decisions on a patient without a physician who has seen the images.",
    "Images of another modality, body part, view or age group than it was made for.",
    "Excluding a disease: a low probability is no finding.",
)
ETHICAL = (
    "A model repeats what its labels and its patients were like. Groups that are few in the "
    "training data are served worse, often without being noticed.",
    "A probability looks exact. It holds for images like those that it was measured on.",
)


def card(facts: CardFacts, evaluation: Evaluation) -> str:
    """Return a model card as Markdown; the same facts and numbers give the same text.

    Args:
        facts: What cannot be measured.
        evaluation: What was measured, on images that the model has not seen.
    """
    parts: Sequence[tuple[str, str]] = (
        ("Model details", _details(facts)),
        ("Intended use", facts.intended_use or RESEARCH),
        ("Out of scope", _list((*facts.out_of_scope, *NOT_FOR))),
        ("Training data", _training(facts.training_data)),
        ("Evaluation data", _judged_on(facts, evaluation)),
        ("Metrics", _metrics(evaluation)),
        ("Subgroups", _subgroups(evaluation.subgroups)),
        ("Shortcut audit", _audit(evaluation.audit)),
        ("Ethical considerations", _list((*facts.ethical, *ETHICAL))),
        ("Limits", _list(str(sentence) for sentence in limits(evaluation))),
        ("How to reproduce", _reproduce(facts)),
        ("Reporting checklists", reporting_section(_answers(facts) | _measured(evaluation))),
    )
    return f"# {_line(facts.name)}\n\n**{RESEARCH_USE}**\n\n{_sections(parts)}"


def located_card(facts: CardFacts, evaluation: Located) -> str:
    """Return the card of a model that outlines or finds boxes.

    Args:
        facts: What cannot be measured.
        evaluation: What was measured, on images that the model has not seen.
    """
    first = (
        ("Model details", _details(facts)),
        ("Intended use", facts.intended_use or RESEARCH),
        ("Out of scope", _list((*facts.out_of_scope, *NOT_FOR[:2]))),
        ("Training data", _training(facts.training_data)),
        ("Evaluation data", facts.evaluation_data or "Not stated."),
    )
    last = (
        ("Ethical considerations", _list((*facts.ethical, *ETHICAL))),
        ("How to reproduce", _reproduce(facts)),
        ("Reporting checklists", reporting_section(_answers(facts) | LOCATED)),
    )
    body = "\n".join((_sections(first), outline_card_section(evaluation), _sections(last)))
    return f"# {_line(facts.name)}\n\n**{RESEARCH_USE}**\n\n{body}"


LOCATED = {
    "metrics": "Metrics",
    "intervals": "Metrics",
    "groups": "Metrics",
    "counts": "Metrics",
    "failures": "Metrics",
    "limits": "Limits",
}
"""Where the card of a model that outlines or finds boxes answers what is measured."""


def _answers(facts: CardFacts) -> dict[str, str]:
    """Return where the card answers what cannot be measured; empty where nothing is known."""
    known = {
        "network": (facts.network, "Model details"),
        "task": (facts.task, "Model details"),
        "classes": (facts.classes, "Model details"),
        "made_for": (facts.made_for, "Model details"),
        "digest": (facts.digest, "Model details"),
        # What every card says is no answer about this model.
        "intended_use": (facts.intended_use, "Intended use"),
        "out_of_scope": (facts.out_of_scope, "Out of scope"),
        "ethical": (facts.ethical, "Ethical considerations"),
        "training_data": (facts.training_data, "Training data"),
        "evaluation_data": (facts.evaluation_data, "Evaluation data"),
        "recipe": (facts.recipe, "How to reproduce"),
        "command": (facts.command, "How to reproduce"),
        "versions": (facts.versions, "How to reproduce"),
    }
    return {name: place if said else "" for name, (said, place) in known.items()}


def _measured(evaluation: Evaluation) -> dict[str, str]:
    """Return where the card answers what was measured; empty where it was not."""
    known = {
        "metrics": (evaluation.measured.estimates, "Metrics"),
        "intervals": (evaluation.measured.estimates, "Metrics"),
        "groups": (evaluation.measured.groups, "Evaluation data"),
        "counts": (evaluation.measured.counts, "Evaluation data"),
        "sources": (evaluation.sources, "Metrics"),
        "subgroups": (any(t.subgroups for t in evaluation.subgroups), "Subgroups"),
        "audit": (evaluation.audit, "Shortcut audit"),
        "limits": (tuple(limits(evaluation)), "Limits"),
    }
    return {name: place if said else "" for name, (said, place) in known.items()}


def _sections(parts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"## {title}\n\n{text.strip()}\n" for title, text in parts)


def _details(facts: CardFacts) -> str:
    rows = (
        ("Task", facts.task),
        ("Network", f"{facts.network}, {facts.parameters:,} parameters"),
        ("Classes", ", ".join(facts.classes)),
        ("Made for", facts.made_for),
        ("Licence of the weights", facts.licence),
        ("File", f"{facts.size_bytes / 1e6:.2f} MB" if facts.size_bytes else ""),
        ("SHA-256", f"`{facts.digest}`" if facts.digest else ""),
        ("Date", facts.date),
    )
    return markdown_table(("", ""), [row for row in rows if row[1]])


def _training(data: Sequence[DataFacts]) -> str:
    if not data:
        return "Not stated."
    rows = [(one.name, one.used, one.licence, one.citation) for one in data]
    return markdown_table(("data", "used", "licence", "citation"), rows)


def _judged_on(facts: CardFacts, evaluation: Evaluation) -> str:
    measured = evaluation.measured
    counts = ", ".join(f"{count} {name}" for name, count in measured.counts)
    counted = f"{measured.images} images in {measured.groups} groups ({counts})."
    return f"{facts.evaluation_data}\n\n{counted}" if facts.evaluation_data else counted


def _metrics(evaluation: Evaluation) -> str:
    measured = evaluation.measured
    parts = [
        f"Intervals: {measured.resamples} bootstrap resamples of groups.",
        _score_table(measured),
    ]
    if evaluation.folds:
        parts += ["Several trainings:", as_markdown(evaluation.folds)]
    for name, found in evaluation.sources.items():
        parts += [
            f"Images from elsewhere: {_line(name)}, {found.images} images.",
            _score_table(found),
        ]
    return "\n\n".join(part.strip() for part in parts)


def _score_table(measured: Measured) -> str:
    rows = [
        (SCORES[e.name].label, figure(e.value), interval(e.low, e.high)) for e in measured.estimates
    ]
    return markdown_table(("score", "value", f"{measured.confidence * 100:g} % interval"), rows)


def _subgroups(tables: Sequence[SubgroupTable]) -> str:
    if not tables:
        return "None were judged."
    rows = [
        (
            table.column,
            one.value,
            str(one.images),
            _auc(one.measured["auc"]) if one.measured else str(one.reason),
        )
        for table in tables
        for one in table.subgroups
    ]
    left = [f"{table.column}: {table.reason}" for table in tables if not table.subgroups]
    shown = markdown_table(("column", "value", "images", "AUC"), rows) if rows else ""
    return f"{shown}\n{_list(left)}" if left else shown


def _audit(audit: Sequence[AuditRow]) -> str:
    if not audit:
        return "None was made."
    rows = [(PROBES[row.probe].name, _auc(row.estimates[0]), str(row.verdict)) for row in audit]
    return markdown_table(("with", "AUC", "verdict"), rows)


def _reproduce(facts: CardFacts) -> str:
    parts = [f"```\n{facts.command}\n```"] if facts.command else []
    if facts.recipe:
        parts.append(f"```toml\n{facts.recipe.strip()}\n```")
    if facts.versions:
        rows = sorted(facts.versions.items())
        parts.append(markdown_table(("package", "version"), rows))
    return "\n\n".join(parts) or "Not stated."


def _auc(estimate: Estimate) -> str:
    return with_interval(estimate.value, estimate.low, estimate.high)


def _list(sentences: Iterable[str]) -> str:
    return "".join(f"- {_line(sentence)}\n" for sentence in sentences)


def _line(text: str) -> str:
    return " ".join(text.split())
