"""Gated attention over the modalities that are there, beside a linear path.

Each modality has an encoder; a gate (Ilse M et al., ICML 2018, equation 9) weighs what the
encoders say, over present modalities alone. The linear path adds one weight per input, changed by
which other modalities are present: what a laboratory value adds depends on whether the image is
known. Several members are trained side by side in one pass, each with its own starting weights
and its own masks.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

HIDDEN = float("-inf")


class MaskedFusion(nn.Module):
    """Members of an ensemble that share nothing but the pass.

    Inputs are (row, member, input) by modality and presence (row, member, modality); the output
    is (row, member, output).
    """

    def __init__(
        self,
        inputs: Mapping[str, int],
        *,
        outputs: int = 1,
        width: int = 8,
        members: int = 8,
        dropout: float = 0.2,
    ) -> None:
        """Build for modalities with numbers of inputs, in this order."""
        super().__init__()
        self.order = tuple(inputs)
        self.outputs, self.width, self.members = outputs, width, members
        count = len(self.order)
        self.dropout = nn.Dropout(dropout)
        self.encode, self.bias = _each(inputs, members, (width,), 1.0), nn.ParameterDict()
        self.linear = _each(inputs, members, (outputs,), 0.0)
        self.changed = _each(inputs, members, (count, outputs), 0.0)
        for name in self.order:
            self.bias[_key(name)] = nn.Parameter(torch.zeros(members, width))
        self.look = _weights(members, width, width)
        self.gate = _weights(members, width, width)
        self.score = _weights(members, width, 1)
        self.head = nn.Parameter(torch.zeros(members, width, outputs))
        self.presence = nn.Parameter(torch.zeros(members, count, outputs))
        self.start = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, inputs: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return what each member says."""
        weighed, _ = self._attended(inputs, present)
        said = self.start + torch.einsum("bkm,kmo->bko", present, self.presence)
        said = said + torch.einsum("bkw,kwo->bko", self.dropout(weighed), self.head)
        for place, name in enumerate(self.order):
            said = said + present[:, :, place, None] * self._linear(name, inputs[name], present)
        return said

    def attention(self, inputs: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return how much each modality weighs, (row, member, modality); 0 where missing."""
        return self._attended(inputs, present)[1]

    def _linear(self, name: str, values: Tensor, present: Tensor) -> Tensor:
        key = _key(name)
        own = torch.einsum("bkd,kdo->bko", values, self.linear[key])
        changed = torch.einsum("bkd,kdmo->bkmo", values, self.changed[key])
        return own + torch.einsum("bkmo,bkm->bko", changed, present - 1)

    def _attended(self, inputs: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        said = torch.stack([self._said(name, inputs[name]) for name in self.order], dim=2)
        looked = torch.tanh(torch.einsum("bkmw,kwv->bkmv", said, self.look))
        gated = torch.sigmoid(torch.einsum("bkmw,kwv->bkmv", said, self.gate))
        scores = torch.einsum("bkmw,kwo->bkmo", looked * gated, self.score).squeeze(-1)
        # A row with nothing present would divide by 0: it attends to nothing.
        weights = torch.softmax(scores.masked_fill(present == 0, HIDDEN), dim=2).nan_to_num(0.0)
        return torch.einsum("bkm,bkmw->bkw", weights, said), weights

    def _said(self, name: str, values: Tensor) -> Tensor:
        key = _key(name)
        return torch.relu(torch.einsum("bkd,kdw->bkw", values, self.encode[key]) + self.bias[key])


def _each(
    inputs: Mapping[str, int], members: int, after: tuple[int, ...], scale: float
) -> nn.ParameterDict:
    return nn.ParameterDict(
        {
            _key(name): nn.Parameter(
                torch.randn(members, count, *after) * scale / math.sqrt(max(count, 1))
            )
            for name, count in inputs.items()
        }
    )


def _weights(members: int, before: int, after: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(members, before, after) / math.sqrt(before))


def _key(name: str) -> str:
    """Return a name that may be that of a parameter."""
    return "m_" + "".join(c if c.isalnum() else f"_{ord(c):x}_" for c in name)
