"""What the benchmarks of planning measure, each in a process of its own on one thread.

``python -m benchmarks.planning_parts PART FOLDER`` measures one part and prints what it found.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.planning_references import TG119, five_beams, references

Result = dict[str, Any]

NINE = tuple(40.0 * number for number in range(9))
GRIDS_MM = (9.0, 6.0, 4.0, 3.0)
BEAMS = (2, 4, 6, 9)


def nine_beams(_folder: Path) -> Result:
    """Plan nine beams on the CT's own grid."""
    return _planned(dose_grid_mm=0.5)


def nominal(_folder: Path) -> Result:
    """Plan as the CT says, for comparison with a robust plan."""
    return _planned(dose_grid_mm=5.0)


def robust(_folder: Path) -> Result:
    """Plan for nine scenarios."""
    return _planned(dose_grid_mm=5.0, robust="worst")


def growth(_folder: Path) -> Result:
    """Set-up and one evaluation with gradient, over grids and numbers of beams."""
    import torch

    from aegle.planning.beams import BeamletOptions, aim, equal_angles
    from aegle.planning.influence import total
    from aegle.planning.machine import machine
    from aegle.planning.pencil_beam import DoseOptions, beam_dose, medium

    ct, structures = _phantom()
    linac = machine("generic_6mv")

    def seconds(grid_mm: float, count: int) -> tuple[int, float]:
        options = DoseOptions(dose_grid_mm=grid_mm)
        patient = medium(ct, structures["BODY"], options=options)
        times = []
        for _ in range(3):
            start = time.process_time()
            prepared = [
                beam_dose(
                    patient,
                    aim(structures["PTV"], angle, 0.0, linac.sad_mm, options=BeamletOptions()),
                    linac,
                    options=options,
                )
                for angle in equal_angles(count)
            ]
            weights = [torch.ones(one.beamlets, requires_grad=True) for one in prepared]
            total(prepared, weights, len(patient.voxels)).square().sum().backward()
            times.append(time.process_time() - start)
        return len(patient.voxels), min(times)

    seconds(GRIDS_MM[0], 1)
    return {
        "voxels": [seconds(grid_mm, 5) for grid_mm in GRIDS_MM],
        "beams": [(count, seconds(5.0, count)[1]) for count in BEAMS],
    }


def _planned(**settings: Any) -> Result:
    from aegle.domain.plan import Goal, Metric, Prescription
    from aegle.planning.photon_plan import PhotonPlanOptions, plan

    ct, structures = _phantom()
    core = Goal(structure="Core", metric=Metric.DOSE_AT_VOLUME, at=10.0, at_most=19.0)
    asked = Prescription(target="PTV", dose_gy=50.0, fractions=25, goals=(core,))
    before_gb, start = _peak_gb(), time.process_time()
    made = plan(
        ct,
        structures,
        asked,
        options=PhotonPlanOptions(
            gantry_deg=NINE, **{"delivery": "fluence", "goal_rounds": 0} | settings
        ),
    )
    return {
        "seconds": time.process_time() - start,
        "peak_gb": _peak_gb(),
        "before_gb": before_gb,
        "core_d10_gy": made.goals[0].value,
        "iterations": len(made.objective_values) - 1,
    }


def _phantom() -> Any:
    import numpy as np

    from aegle.domain.codes import StructureType
    from aegle.domain.structure import Structure, StructureSet
    from aegle.planning.phantom_files import read

    phantom = read(TG119)
    grid = phantom.ct.grid
    core, target, body = (phantom.structures[n].mask for n in ("Core", "OuterTarget", "BODY"))
    return phantom.ct, StructureSet(
        (
            Structure.of("BODY", body | core | target, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV", np.asarray(target & ~core), grid, type=StructureType.TARGET),
            Structure.of("Core", core, grid),
        )
    )


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


PARTS: dict[str, Callable[[Path], Result]] = {
    part.__name__: part for part in (five_beams, references, nine_beams, nominal, robust, growth)
}


def main() -> None:
    """Measure one part on one thread and print what was found."""
    import torch

    torch.set_num_threads(1)
    print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
