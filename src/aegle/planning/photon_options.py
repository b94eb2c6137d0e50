"""How a photon plan is made: beams, grid, optimiser, errors to bear, and delivery."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.options import option
from aegle.planning.robust import RobustOptions
from aegle.planning.sequencing import SequencingOptions


@dataclass(frozen=True, kw_only=True)
class PhotonPlanOptions(RobustOptions, SequencingOptions):
    """How a photon plan is made."""

    gantry_deg: Annotated[
        tuple[float, ...] | None,
        option("Gantry angles, IEC 61217; none: chosen on the side of the target", unit="°"),
    ] = None
    beams: Annotated[int, option("Number of beams where angles are chosen", ge=1, le=36)] = 7
    couch_deg: Annotated[
        float, option("Couch angle of all beams, IEC 61217", unit="°", ge=-180, le=360)
    ] = 0.0
    beamlet_mm: Annotated[
        float, option("Side of a beamlet on the isocentre plane", unit="mm", ge=2, le=20)
    ] = 5.0
    dose_grid_mm: Annotated[
        float, option("Wanted spacing of the dose grid, in whole CT voxels", unit="mm", gt=0)
    ] = 3.0
    lateral_cutoff_mm: Annotated[
        float,
        option(
            "Distance from a beamlet beyond which its dose is dropped", unit="mm", ge=75, le=180
        ),
    ] = 80.0
    iterations: Annotated[int, option("Most iterations of the optimiser", ge=1, le=2000)] = 80
    tolerance: Annotated[
        float,
        option("Stop where an iteration lowers the objective by less than this part", ge=0, lt=1),
    ] = 1e-5
    delivery: Annotated[
        Literal["fluence", "step-and-shoot"],
        option(
            "fluence: ideal, of every beamlet by itself; step-and-shoot: by apertures of a "
            "multileaf collimator"
        ),
    ] = "fluence"
    tissue_weight: Annotated[
        float,
        option("Weight of normal tissue without goals, against the usual one", ge=0, le=10),
    ] = 1.0
    normalise: Annotated[
        bool, option("Scale the plan so that 95 % of the target receive the prescribed dose")
    ] = True
    voxels_per_structure: Annotated[
        int, option("Most voxels that stand for an organ in the optimiser", ge=100)
    ] = 4000
    seed: Annotated[int, option("Seed of the drawing of those voxels", ge=0)] = 1
    machine: Annotated[str, option("Beam model")] = "generic_6mv"
    device: Annotated[str, option("Where to calculate: cpu, cuda, cuda:1, ...")] = "cpu"
    threads: Annotated[
        int, option("CPU threads; more than one pays only where the cores are idle", ge=1, le=64)
    ] = 1
