"""What can be chosen by name. The only registry.

Add a capability: write its file, add its line here. Entries are import paths, so listing
names imports nothing heavy. Other packages add theirs as entry points in the group
``aegle.<kind>``; they cannot replace a built-in.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from aegle.domain.errors import OptionError

BUILT_IN: dict[str, dict[str, str]] = {
    "network": {
        "base-cnn": "aegle.learning.networks.plain:base_cnn",
        "base-autoencoder": "aegle.learning.networks.autoencoders:base_autoencoder",
        "narrow-autoencoder": "aegle.learning.networks.autoencoders:narrow_autoencoder",
        "variational-autoencoder": "aegle.learning.networks.autoencoders:variational_autoencoder",
        "memory-bank": "aegle.learning.networks.memory_bank:memory_bank",
        "mobilenet-v2": "aegle.learning.networks.mobilenet_v2:mobilenet_v2",
        "densenet-121": "aegle.learning.networks.residual:densenet_121",
        "resnet-18": "aegle.learning.networks.residual:resnet_18",
        "mobile-detector": "aegle.learning.networks.detector:mobile_detector",
        "mobile-unet": "aegle.learning.networks.outlining:mobile_unet",
        "residual-unet": "aegle.learning.networks.outlining:residual_unet",
        "unet": "aegle.learning.networks.outlining:unet",
        "small-resnet-3d": "aegle.learning.networks.residual:small_resnet_3d",
        "small-cnn": "aegle.learning.networks.plain:small_cnn",
    },
    "classifier": {"radiograph": "aegle.recognition.classify:classify"},
    "quality_check": {"no-reference": "aegle.recognition.quality:assess_quality"},
    "segmenter": {"classical-thorax-ct": "aegle.recognition.thorax_ct:segment"},
    "lesion_detector": {"classical-lung": "aegle.recognition.lesions:candidates"},
    "registration": {
        "rigid": "aegle.imaging.rigid_ct:register_rigid",
        "any": "aegle.imaging.registration:register",
    },
    "change_detector": {"brain-mr": "aegle.imaging.tissue_change:tissue_change"},
    "quantifier": {
        "uptake": "aegle.imaging.uptake_volume:uptake",
        "radiomics": "aegle.imaging.radiomics:radiomics",
    },
    "planner": {"photon-pencil-beam": "aegle.planning.photon_plan:plan"},
    "suggestion_rule": {"lung-rads": "aegle.diagnosis.suggest:suggest"},
    "lesion_matcher": {"distance-and-size": "aegle.response.matching:match"},
    "response_criterion": {"recist-1.1": "aegle.response.recist_1_1:assess"},
    "worklist_order": {"urgency-then-arrival": "aegle.operations.triage:order"},
}


def names(kind: str) -> tuple[str, ...]:
    """Return the names that can be chosen for a kind of capability."""
    if kind not in BUILT_IN:
        raise OptionError(f"Unknown kind '{kind}'; known: {', '.join(BUILT_IN)}.")
    return (*BUILT_IN[kind], *sorted(entry_points(group=f"aegle.{kind}").names))


def load(kind: str, name: str) -> Callable[..., Any]:
    """Return the capability called ``name``.

    Raises:
        OptionError: No capability of that kind has that name.
    """
    if name not in names(kind):
        raise OptionError(f"No {kind} '{name}'; known: {', '.join(names(kind))}.")
    if name in BUILT_IN[kind]:
        module, _, attribute = BUILT_IN[kind][name].partition(":")
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
    (entry,) = entry_points(group=f"aegle.{kind}", name=name)
    return entry.load()  # type: ignore[no-any-return]
