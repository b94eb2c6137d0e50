"""What every capability promises; a new line in the catalogue is tested at once."""

import dataclasses
import inspect
import json
from typing import get_type_hints

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from aegle import catalogue
from aegle.domain.errors import OptionError
from aegle.options import options_type, schema
from aegle.workflow.stage import Stage

ALL = [
    (kind, name)
    for kind in catalogue.BUILT_IN
    if kind != "network"
    for name in catalogue.names(kind)
]
NETWORKS = catalogue.names("network")


@pytest.fixture(params=ALL, ids="/".join)
def capability(request):
    return catalogue.load(*request.param)


@pytest.fixture(params=NETWORKS)
def network(request):
    return catalogue.load("network", request.param)


def test_states_what_it_needs_and_gives(capability):
    assert Stage.of("any", capability).needs


def test_has_frozen_options_with_defaults(capability):
    options = options_type(capability)()
    field = dataclasses.fields(options)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(options, field, None)


def test_explains_every_option(capability):
    properties = schema(options_type(capability))["properties"]

    assert all(option["description"] for option in properties.values())


def test_holds_every_caller_to_its_bounds(capability):
    kind = options_type(capability)
    limits = {
        name: facts[bound] + step
        for name, facts in schema(kind)["properties"].items()
        for bound, step in [
            ("maximum", 1),
            ("exclusiveMaximum", 0),
            ("minimum", -1),
            ("exclusiveMinimum", 0),
        ]
        if bound in facts
    }

    for name, beyond in limits.items():
        with pytest.raises(ValueError, match=name):
            kind(**{name: beyond})


def test_network_is_set_by_plain_keywords_with_defaults(network):
    hints = get_type_hints(network)
    parameters = inspect.signature(network).parameters

    assert hints["return"] is nn.Module
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        plain = json.loads(json.dumps(parameter.default))
        assert TypeAdapter(hints[name]).validate_python(plain) is not None


def test_network_explains_every_setting(network):
    text = inspect.getdoc(network)

    assert all(f"\n    {name}: " in text for name in inspect.signature(network).parameters)


def test_network_is_built_by_its_defaults_alone(network):
    with torch.device("meta"):
        built = network()

    assert isinstance(built, nn.Module)
    assert any(parameter.requires_grad for parameter in built.parameters())


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(OptionError, match=r"recist-1\.1"):
        catalogue.load("response_criterion", "recist")


def test_unknown_kind_lists_the_known_ones():
    with pytest.raises(OptionError, match="segmenter"):
        catalogue.names("oracle")
