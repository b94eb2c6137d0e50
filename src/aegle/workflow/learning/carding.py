"""The words of a model's page and card that its plan knows."""

from pathlib import Path

from aegle.evaluation.card import CardFacts, DataFacts, card, located_card
from aegle.evaluation.evaluate import About
from aegle.learning.model import Model
from aegle.workflow.learning.plan import Plan
from aegle.workflow.learning.recipe import as_toml
from aegle.workflow.learning.run_folder import Done

TASKS = {
    "classify": "tells {classes} apart",
    "reconstruct": "encodes and reconstructs images",
    "anomaly": "finds what is unlike the images that it was trained on",
    "segment": "outlines {classes}",
    "instances": "outlines each {classes} by itself",
    "detect": "finds {classes} by their boxes",
}


def about(plan: Plan, judged_on: str) -> About:
    """Return the title and the facts of an evaluation page."""
    recipe = plan.recipe
    return About(
        title=recipe.model.name,
        facts={
            "Network": plan.configuration.get("network", recipe.network.name),
            "Data": Path(recipe.data.path).parent.name + "/" + Path(recipe.data.path).name,
            "Judged on": judged_on,
            "Started from": Path(recipe.transfer.weights).name or "random weights",
        },
    )


def card_of(plan: Plan, model: Model, path: Path, done: Done) -> str:
    """Return the model card as Markdown; empty if nothing was judged.

    Args:
        plan: By which the model was trained.
        model: As read from its file.
        path: The file.
        done: Says what was measured on images that the judged models had not seen.
    """
    if done.evaluation:
        facts = _facts(plan, model, path, done.evaluation.about)
        return card(facts, done.evaluation)
    if done.located:
        return located_card(_facts(plan, model, path, done.located.about), done.located)
    return ""


def _facts(plan: Plan, model: Model, path: Path, judged: About) -> CardFacts:
    facts, recipe = model.facts, plan.recipe
    words = TASKS[facts.task].format(classes=" and ".join(facts.classes))
    return CardFacts(
        name=facts.name,
        task=words,
        network=facts.network,
        parameters=sum(p.numel() for p in model.network.parameters()),
        classes=facts.classes,
        licence=facts.licence,
        digest=model.digest,
        size_bytes=path.stat().st_size,
        made_for=", ".join((*facts.modalities, *facts.body_parts)),
        training_data=tuple(
            DataFacts(name=name, citation="", licence="") for name in facts.trained_on
        ),
        evaluation_data=judged.facts.get("Judged on", ""),
        recipe=as_toml(recipe),
        command="aegle train recipe.toml --out run"
        + (" --cross-validate" if plan.cross_validate else ""),
        versions=plan.versions,
    )
