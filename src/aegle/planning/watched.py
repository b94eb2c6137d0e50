"""The doses that are told while a plan is optimised: coverage of the target, means of organs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from torch import Tensor

from aegle.domain.codes import StructureType
from aegle.domain.plan import Prescription
from aegle.domain.structure import StructureSet
from aegle.planning.intent import Sampling, organ_voxels
from aegle.planning.pencil_beam import Medium

COVERED = 0.95
MOST_ORGANS = 8


@dataclass(frozen=True, eq=False)
class Watched:
    """Voxels of the target and of the organs with goals."""

    target: str
    prescribed_gy: float
    voxels: Mapping[str, Tensor]
    """Indices by structure, the target first."""

    @classmethod
    def of(
        cls,
        patient: Medium,
        structures: StructureSet,
        prescription: Prescription,
        sampling: Sampling,
    ) -> "Watched":
        """Choose what is told of a plan.

        Args:
            patient: As the beams see it.
            structures: May lack organs with goals.
            prescription: Its goals say which organs count.
            sampling: How many voxels stand for each.
        """
        there = {s.name: s for s in structures if s.type is StructureType.ORGAN and not s.is_empty}
        asked = dict.fromkeys(goal.structure for goal in prescription.goals)
        organs = [there[name] for name in asked if name in there][:MOST_ORGANS]
        target = structures[prescription.target]
        found = organ_voxels(patient, (target, *organs), sampling)
        kept = {name: points for name, points in found.items() if len(points)}
        return cls(target.name, prescription.dose_gy, kept)

    def among(self, number: Tensor) -> "Watched":
        """Return the same voxels by their number among those that an optimiser looks at."""
        return replace(self, voxels={n: number[points] for n, points in self.voxels.items()})

    def doses(self, relative: Tensor) -> dict[str, float]:
        """Return D95 of the target and means of organs [Gy].

        Args:
            relative: Dose over the prescribed one, shape (voxel,).
        """
        told = {}
        for name, points in self.voxels.items():
            inside = relative.detach()[points]
            if name == self.target:
                rank = len(inside) - ceil(round(COVERED * len(inside), 9)) + 1
                told[f"{name} D95"] = self.prescribed_gy * float(inside.kthvalue(rank).values)
            else:
                told[f"{name} mean"] = self.prescribed_gy * float(inside.mean())
        return told
