"""The words of a model's page and card that its plan knows."""

from pathlib import Path

from aegle.evaluation.card import CardFacts, DataFacts, card
from aegle.evaluation.evaluate import About, Evaluation
from aegle.learning.model import Model
from aegle.workflow.learning.plan import Plan
from aegle.workflow.learning.recipe import as_toml

TASKS = {
    "classify": "tells {classes} apart",
    "reconstruct": "encodes and reconstructs images",
    "anomaly": "finds what is unlike the images that it was trained on",
}


def about(plan: Plan, judged_on: str) -> About:
    """Return the title and the facts of an evaluation page."""
    recipe = plan.recipe
    return About(
        title=recipe.model.name,
        facts={
            "Network": recipe.network.name,
            "Data": Path(recipe.data.path).parent.name + "/" + Path(recipe.data.path).name,
            "Judged on": judged_on,
            "Started from": Path(recipe.transfer.weights).name or "random weights",
        },
    )


def card_of(plan: Plan, model: Model, path: Path, evaluation: Evaluation) -> str:
    """Return the model card as Markdown.

    Args:
        plan: By which the model was trained.
        model: As read from its file.
        path: The file.
        evaluation: On images that the judged models had not seen.
    """
    facts, recipe = model.facts, plan.recipe
    made_for = ", ".join((*facts.modalities, *facts.body_parts))
    words = TASKS[facts.task].format(classes=" and ".join(facts.classes))
    return card(
        CardFacts(
            name=facts.name,
            task=words,
            network=facts.network,
            parameters=sum(p.numel() for p in model.network.parameters()),
            classes=facts.classes,
            licence=facts.licence,
            digest=model.digest,
            size_bytes=path.stat().st_size,
            made_for=made_for,
            training_data=tuple(
                DataFacts(name=name, citation="", licence="") for name in facts.trained_on
            ),
            evaluation_data=evaluation.about.facts.get("Judged on", ""),
            recipe=as_toml(recipe),
            command="aegle train recipe.toml --out run"
            + (" --cross-validate" if plan.cross_validate else ""),
            versions=plan.versions,
        ),
        evaluation,
    )
