"""How a plan of external beams is made, whatever the radiation: beams, grid, optimiser, errors."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.options import option
from aegle.planning.optimise import Method
from aegle.planning.robust import RobustOptions


@dataclass(frozen=True, kw_only=True)
class PlanOptions(RobustOptions):
    """How a plan is made."""

    gantry_deg: Annotated[
        tuple[float, ...] | None,
        option("Gantry angles, IEC 61217; none: chosen on the side of the target", unit="°"),
    ] = None
    beams: Annotated[int, option("Number of beams where angles are chosen", ge=1, le=36)] = 7
    couch_deg: Annotated[
        float, option("Couch angle of all beams, IEC 61217", unit="°", ge=-180, le=360)
    ] = 0.0
    dose_grid_mm: Annotated[
        float, option("Wanted spacing of the dose grid, in whole CT voxels", unit="mm", gt=0)
    ] = 3.0
    iterations: Annotated[int, option("Most iterations of the optimiser", ge=1, le=2000)] = 80
    tolerance: Annotated[
        float,
        option("Stop where an iteration lowers the objective by less than this part", ge=0, lt=1),
    ] = 1e-5
    optimiser: Annotated[
        Method,
        option(
            "l-bfgs-b: SciPy's, on the CPU; projected: spectral projected gradient, where the dose "
            "is calculated; auto: projected on a GPU"
        ),
    ] = "auto"
    goal_rounds: Annotated[
        int,
        option(
            "Most further rounds in which goals that are missed weigh more, as long as that helps "
            "and costs no other goal",
            ge=0,
            le=10,
        ),
    ] = 3
    tissue_weight: Annotated[
        float,
        option("Weight of normal tissue without goals, against the usual one", ge=0, le=10),
    ] = 1.0
    complication_weight: Annotated[
        float,
        option(
            "Weight of the probability of complications by published models, where facts of the "
            "patient are given",
            ge=0,
            le=100,
        ),
    ] = 0.5
    normalise: Annotated[
        bool, option("Scale the plan so that 95 % of the target receive the prescribed dose")
    ] = True
    voxels_per_structure: Annotated[
        int, option("Most voxels that stand for an organ in the optimiser", ge=100)
    ] = 4000
    seed: Annotated[int, option("Seed of the drawing of those voxels", ge=0)] = 1
    device: Annotated[str, option("Where to calculate: cpu, cuda, cuda:1, ...")] = "cpu"
    threads: Annotated[
        int, option("CPU threads; more than one pays only where the cores are idle", ge=1, le=64)
    ] = 1
