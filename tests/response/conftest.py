"""Made findings: spherical lesions at known places, without images."""

import numpy as np
import pytest

from aegle.domain.finding import Diameters, Findings, Lesion, LesionKind
from aegle.domain.grid import Grid
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.record.identity import derive_uid

GRID = Grid(shape=(400, 400, 400), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(-200.0, -200.0, -200.0))


@pytest.fixture(scope="session")
def make_lesion():
    """Return a function that makes a lesion of given diameters at a place."""

    def lesion(id, centre_mm, longest_mm, *, perpendicular_mm=None, grid=GRID, **facts):
        start = tuple(int(i) for i in np.round(grid.to_indices(np.array(centre_mm, float))))
        short_mm = longest_mm if perpendicular_mm is None else perpendicular_mm
        here = (tuple(map(float, centre_mm)),) * 2
        known = {
            "kind": LesionKind.TUMOUR,
            "site": "liver",
            "volume_ml": np.pi / 6 * longest_mm * short_mm**2 / 1000,
            "tracking_uid": derive_uid(id, str(longest_mm)),
        }
        return Lesion(
            id=id,
            structure=Structure(name=id, box=np.ones((1, 1, 1), bool), start=start, grid=grid),
            image="CT",
            diameters=Diameters(
                longest_mm=longest_mm,
                perpendicular_mm=short_mm,
                longest_ends_mm=here,
                perpendicular_ends_mm=here,
                slice_index=start[0],
            ),
            **(known | facts),
        )

    return lesion


@pytest.fixture(scope="session")
def make_findings():
    """Return a function that makes the findings of one visit."""

    def findings(study_uid, *lesions):
        return Findings(study_uid=study_uid, lesions=tuple(lesions))

    return findings


@pytest.fixture(scope="session")
def make_registration():
    """Return a function that makes an alignment from a 4×4 matrix."""

    def registration(matrix=None, verdict=Verdict.GOOD):
        rows = np.eye(4) if matrix is None else matrix
        return Registration(
            matrix=tuple(tuple(float(x) for x in row) for row in rows),
            correlation_before=0.5,
            correlation_after=0.9,
            verdict=verdict,
            reason=Text("made"),
        )

    return registration
