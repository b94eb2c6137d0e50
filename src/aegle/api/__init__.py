"""What Python, command line and web all call.

from aegle import api

results = api.run(["scans/"], out="case")
results.findings.visits[0].lesions[0].diameters.longest_mm
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aegle.api.cases import demo, doctor, follow, run, summary
from aegle.api.learning import counterfactual, evaluate, explain, predict, recipe, train
from aegle.api.planning import adapt, compare, plan, protocols
from aegle.api.suggesting import suggest
from aegle.workflow.options import CaseOptions, describe, read_options

if TYPE_CHECKING:
    from aegle.diagnosis.laboratory.reading import laboratory
    from aegle.diagnosis.published import rule, rules
    from aegle.phantoms.thorax import ThoraxOptions
    from aegle.workflow.adapting import AdaptationInputs
    from aegle.workflow.demo import Demo
    from aegle.workflow.fusing.run import fuse
    from aegle.workflow.plan_comparing import ComparisonInputs
    from aegle.workflow.radiotherapy import PlanInputs, plan_numbers
    from aegle.workflow.responding import criteria, respond
    from aegle.workflow.suggestion_numbers import suggestion_numbers

__all__ = [
    "AdaptationInputs",
    "CaseOptions",
    "ComparisonInputs",
    "Demo",
    "PlanInputs",
    "ThoraxOptions",
    "adapt",
    "compare",
    "counterfactual",
    "criteria",
    "demo",
    "describe",
    "doctor",
    "evaluate",
    "explain",
    "follow",
    "fuse",
    "laboratory",
    "plan",
    "plan_numbers",
    "predict",
    "protocols",
    "read_options",
    "recipe",
    "respond",
    "rule",
    "rules",
    "run",
    "suggest",
    "suggestion_numbers",
    "summary",
    "train",
]

_LATER = {
    "AdaptationInputs": "aegle.workflow.adapting",
    "ComparisonInputs": "aegle.workflow.plan_comparing",
    "Demo": "aegle.workflow.demo",
    "PlanInputs": "aegle.workflow.radiotherapy",
    "ThoraxOptions": "aegle.phantoms.thorax",
    "criteria": "aegle.workflow.responding",
    "fuse": "aegle.workflow.fusing.run",
    "laboratory": "aegle.diagnosis.laboratory.reading",
    "plan_numbers": "aegle.workflow.radiotherapy",
    "respond": "aegle.workflow.responding",
    "rule": "aegle.diagnosis.published",
    "rules": "aegle.diagnosis.published",
    "suggestion_numbers": "aegle.workflow.suggestion_numbers",
}


def __getattr__(name: str) -> Any:
    """Import what needs the whole program only when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'aegle.api' has no attribute '{name}'")
    return getattr(import_module(_LATER[name]), name)
