"""pyRadPlan's plan of the TG-119 phantom, timed in its own environment.

``python planning_peer.py FOLDER`` reads ``task.json``, plans photons on the phantom that pyRadPlan
ships, writes what it saw and found into the folder and prints its processor times as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from pyRadPlan import (
    PhotonPlan,
    calc_dose_influence,
    fluence_optimization,
    generate_stf,
    load_tg119,
)
from pyRadPlan.optimization.objectives import SquaredDeviation, SquaredOverdosing


def main() -> None:
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text())
    ct, cst = load_tg119()
    wanted = {
        "Core": SquaredOverdosing(priority=task["core"][1], d_max=task["core"][0]),
        "OuterTarget": SquaredDeviation(priority=task["target"][1], d_ref=task["target"][0]),
        "BODY": SquaredOverdosing(priority=task["body"][1], d_max=task["body"][0]),
    }
    for voi in cst.vois:
        voi.objectives = [wanted[voi.name]] if voi.name in wanted else []
    plan = PhotonPlan(machine="Generic")
    angles = task["gantry_deg"]
    plan.prop_stf = {
        "gantry_angles": angles,
        "couch_angles": [0.0] * len(angles),
        "bixel_width": task["beamlet_mm"],
    }
    side = task["grid_mm"]
    plan.prop_dose_calc = {"dose_grid": {"resolution": {"x": side, "y": side, "z": side}}}
    plan.prop_opt = {"solver": "scipy"}
    steering = generate_stf(ct, cst, plan)
    start = time.process_time()
    influence = calc_dose_influence(ct, cst, steering, plan)
    prepared = time.process_time()
    report: dict[str, object] = {}
    weights = fluence_optimization(ct, cst, steering, influence, plan, opt_info=report)
    found = time.process_time()
    _write(folder, ct, cst, influence, np.asarray(weights, np.float64), steering)
    print(
        json.dumps(
            {
                "set_up_s": prepared - start,
                "optimise_s": found - prepared,
                "values": [float(value) for value in report.get("obj_history", [])],
            }
        )
    )


def _write(folder, ct, cst, influence, weights, steering) -> None:
    """Leave the matrix, the weights, where beamlets and voxels lie, and the densities seen."""
    grid = influence.dose_grid
    # As the optimiser prepares its structures.
    seen = cst.apply_overlap_priorities().resample_on_new_ct(ct.resample_to_grid(grid))
    sp.save_npz(folder / "matrix.npz", sp.csr_array(influence.physical_dose.flat[0]), False)
    rays = [
        (number, ray.ray_pos_bev[0], ray.ray_pos_bev[2])
        for number, beam in enumerate(steering.beams)
        for ray in beam.rays
    ]
    np.savez(
        folder / "found.npz",
        weights=weights,
        rays=np.asarray(rays),
        isocentre_mm=np.asarray(steering.beams[0].iso_center),
        origin_mm=np.asarray(grid.origin),
        spacing_mm=np.asarray([grid.resolution[axis] for axis in "zyx"]),
        shape=np.asarray(grid.dimensions[::-1]),
        **{voi.name: voi.indices_numpy for voi in seen.vois},
    )


if __name__ == "__main__":
    main()
