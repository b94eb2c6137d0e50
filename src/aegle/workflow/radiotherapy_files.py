"""What leaves a plan: RT objects, its numbers for machines, and a page for people.

OUT/dicom/rtplan.dcm, rtstruct.dcm, rtdose.dcm    and ct/, if the CT was not DICOM
OUT/plan.json                                     beams, goals, curves, what it was made from
OUT/plan.html, plan.pdf                           the page
"""

import json
from pathlib import Path
from typing import Any

from aegle.dicom import image_series, radiotherapy, structure_set
from aegle.domain.alternatives import Comparison
from aegle.domain.case import CaseResults
from aegle.domain.plan import Aperture, Beam, DoseVolumeCurve, Plan, ProtonBeam
from aegle.report import plan_page
from aegle.report.language import Language
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.exporting import Output
from aegle.workflow.stage import Progress, silent
from aegle.workflow.summary import plan_summary

DICOM, NUMBERS, PAGE, PAPER = "dicom", "plan.json", "plan.html", "plan.pdf"
CURVE_POINTS = 201


def publish(
    folder: CaseFolder,
    results: CaseResults,
    key: str,
    *,
    language: Language,
    progress: Progress = silent,
) -> None:
    """Write everything that leaves the plan, unless it was already written under ``key``."""
    outputs = (
        Output(name=DICOM, write=lambda path: write_dicom(results, path)),
        Output(name=NUMBERS, write=lambda path: _write_numbers(results, path)),
        Output(name=PAGE, write=lambda path: plan_page.write_html(results, path, language)),
        Output(name=PAPER, write=lambda path: plan_page.write_pdf(results, path, language)),
    )
    whole = all((folder.root / output.name).exists() for output in outputs)
    if folder.record().get("key") == key and whole:
        return
    patient = results.examinations.patient.id
    folder.write_record({"summary": {"patient": patient}})
    for done, output in enumerate(outputs):
        progress(done, len(outputs))
        with folder.replacing(folder.root / output.name) as part:
            output.write(part)
    folder.write_record({"key": key, "summary": {"patient": patient}})


def write_dicom(results: CaseResults, folder: Path) -> None:
    """Write RT Plan, RT Structure Set and RT Dose, and the CT if it was not DICOM."""
    plan, patient, now = _plan(results), results.examinations.patient, results.provenance.now
    image = results.examinations.visits[0].images[0]
    folder.mkdir()
    if not image.series.is_from_dicom:
        image_series.write(image, patient, folder / "ct", now=now)
    structure_set.write(plan.structures, image, patient, folder / "rtstruct.dcm", now=now)
    radiotherapy.write_plan(plan, image, patient, folder / "rtplan.dcm", now=now)
    radiotherapy.write_dose(plan, image, patient, folder / "rtdose.dcm", now=now)


def numbers(results: CaseResults) -> dict[str, Any]:
    """Return a plan as JSON data: what was asked, what resulted, and what it was made from."""
    plan, provenance = _plan(results), results.provenance
    found = plan_summary(results.planning)
    found.pop("visit")
    return {
        "patient": results.examinations.patient.id,
        **found,
        "machine": plan.machine,
        "highest_dose_gy": float(plan.dose.values.max()),
        "beams": [_beam(beam, plan.prescription.fractions) for beam in plan.beams],
        "structures": [_curve(curve) for curve in plan.curves],
        "objective_values": list(plan.objective_values),
        **_comparison(results.planning.comparison),
        "made_from": {
            "aegle": provenance.version,
            "now": provenance.now.isoformat(),
            "inputs": [{"name": name, "sha256": sha} for name, sha in provenance.inputs],
            "options": {s.name: json.loads(s.options) for s in provenance.stages},
        },
    }


def _comparison(found: Comparison | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "alternatives": [
            {
                "name": str(one.name),
                "dose_gy": one.plan.prescription.dose_gy,
                "fractions": one.plan.prescription.fractions,
                "goals_met": sum(goal.is_met for goal in one.plan.goals),
                "expected": [
                    {
                        "name": str(expected.name),
                        "probability": expected.probability,
                        "interval": expected.interval,
                        "source": expected.source,
                    }
                    for expected in one.estimates
                ],
            }
            for one in found.alternatives
        ],
        "reasons": [str(reason) for reason in found.reasons],
    }


def _plan(results: CaseResults) -> Plan:
    assert results.planning.plan is not None
    return results.planning.plan


def _write_numbers(results: CaseResults, path: Path) -> None:
    text = json.dumps(numbers(results), ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def _beam(beam: Beam, fractions: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "gantry_deg": beam.gantry_deg,
        "couch_deg": beam.couch_deg,
        "collimator_deg": beam.collimator_deg,
        "isocentre_mm": list(beam.isocentre_mm),
        "beamlet_mm": beam.beamlet_mm,
        "positions_mm": beam.positions_mm.tolist(),
        "weights": beam.weights.tolist(),
        "weights_unit": "1e6 protons" if isinstance(beam, ProtonBeam) else "MU",
    }
    if isinstance(beam, ProtonBeam):
        said["energies_mev"] = beam.energies_mev.tolist()
        said["range_shifter_mm"] = beam.range_shifter_mm
    if beam.apertures:
        total_mu = sum(one.monitor_units for one in beam.apertures)
        said["monitor_units_per_fraction"] = total_mu / fractions
        said["apertures"] = [_aperture(one) for one in beam.apertures]
    return said


def _aperture(aperture: Aperture) -> dict[str, Any]:
    return {
        "monitor_units": aperture.monitor_units,
        "left_mm": aperture.left_mm.tolist(),
        "right_mm": aperture.right_mm.tolist(),
        "borders_mm": aperture.borders_mm.tolist(),
    }


def _curve(curve: DoseVolumeCurve) -> dict[str, Any]:
    """Return size, mean and curve of a structure; the curve thinned to at most 201 points."""
    step = -(-len(curve.dose_gy) // CURVE_POINTS)
    return {
        "name": curve.structure,
        "volume_ml": curve.volume_ml,
        "mean_gy": curve.mean_gy,
        "dose_gy": curve.dose_gy[::step].tolist(),
        "volume_percent": curve.volume_percent[::step].tolist(),
    }
