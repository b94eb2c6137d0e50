"""A small made case with everything a report shows, and one with nothing."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from aegle.domain.case import (
    AllFindings,
    AllSuggestions,
    CaseResults,
    Examinations,
    Following,
    ImageStructures,
    Planning,
    Provenance,
    Segmentations,
    StageRecord,
    VisitStructures,
)
from aegle.domain.codes import StructureType
from aegle.domain.finding import (
    Diameters,
    Findings,
    Lesion,
    LesionKind,
    OrganMeasure,
    Statistics,
    Suggestion,
)
from aegle.domain.grid import Grid
from aegle.domain.plan import (
    Beam,
    DoseVolumeCurve,
    Goal,
    GoalResult,
    Metric,
    Plan,
    Prescription,
)
from aegle.domain.registration import Registration, Verdict
from aegle.domain.response import FollowUp, Response, ResponseCategory
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient, Projection, SeriesReference
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry
from aegle.domain.volume import PlanarImage, Quantity, Volume
from aegle.domain.worklist import Worklist, WorklistItem

HOSTILE = "Made<script>alert('x')</script>^Thorax & \"Co\""
DATES = (
    datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
    datetime(2026, 3, 9, 10, 0, tzinfo=UTC),
    datetime(2026, 6, 15, 11, 15, tzinfo=UTC),
)
TUMOUR_MM = (34.2, 20.4, 19.8)
NEW_MM = 16.6


def thorax_grid(shape=(40, 64, 64), size_mm=(240.0, 300.0, 360.0)):
    spacing = tuple(s / n for s, n in zip(size_mm, shape, strict=True))
    origin = (-size_mm[2] / 2, -size_mm[1] / 2, 0.0)
    return Grid(shape=shape, spacing_mm=spacing, origin_mm=origin)


def ellipsoid(grid, centre_mm, radii_mm):
    axes = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    places = grid.to_patient(np.stack(axes, axis=-1).astype(float))
    return (((places - centre_mm) / radii_mm) ** 2).sum(axis=-1) <= 1


def series(modality, number, frame="1.2.3.9", description=""):
    return SeriesReference(
        study_uid=f"1.2.3.{number}",
        series_uid=f"1.2.3.{number}.1",
        frame_of_reference_uid=frame,
        modality=modality,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=(f"1.2.3.{number}.1.1",),
        description=description,
        study_date=DATES[min(number, 2)],
    )


def anatomy(grid):
    return {
        "body": ellipsoid(grid, (0, 0, 120), (165, 120, 400)),
        "lung_right": ellipsoid(grid, (-75, -5, 120), (55, 75, 100)),
        "lung_left": ellipsoid(grid, (75, -5, 120), (50, 70, 95)),
        "heart": ellipsoid(grid, (15, -30, 80), (45, 40, 45)),
        "spinal_cord": ellipsoid(grid, (0, 80, 120), (9, 9, 400)),
    }


def thorax(grid, lesions, seed):
    parts = anatomy(grid)
    hu = np.full(grid.shape, -1000.0)
    for name, value in (("body", 20), ("lung_right", -820), ("lung_left", -820), ("heart", 45)):
        hu[parts[name]] = value
    for centre_mm, radius_mm in lesions:
        hu[ellipsoid(grid, centre_mm, radius_mm)] = 35
    hu += np.random.default_rng(seed).normal(0, 18, grid.shape)
    return Volume(values=hu.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)


def structures_of(grid):
    kinds = {"body": StructureType.EXTERNAL}
    return tuple(
        Structure.of(name, mask, grid, type=kinds.get(name, StructureType.ORGAN), origin="made")
        for name, mask in anatomy(grid).items()
    )


def lesion(grid, number, centre_mm, longest_mm, *, image="CT", suv=None, kind=LesionKind.MASS):
    short_mm = 0.8 * longest_mm
    mask = ellipsoid(grid, centre_mm, (longest_mm / 2, short_mm / 2, short_mm / 2))
    structure = Structure.of(f"L{number}", mask, grid, type=StructureType.LESION)
    index = int(np.clip(round(grid.to_indices(np.asarray(centre_mm, float))[0]), 0, 999))
    x, y, _ = centre_mm
    z = float(grid.to_patient(np.array([index, 0.0, 0.0]))[2])
    statistics = [
        Statistics(image="CT", unit="HU", mean=34.6, deviation=17.9, minimum=-20, maximum=88)
    ]
    if suv is not None:
        statistics.append(
            Statistics(image="PT", unit="g/mL", mean=suv, deviation=1.25, minimum=1, maximum=9.87)
        )
    return Lesion(
        id=f"L{number}",
        tracking_uid=f"2.25.{1000 + number}",
        structure=structure,
        image=image,
        kind=kind,
        site="lung_right",
        diameters=Diameters(
            longest_mm=longest_mm,
            perpendicular_mm=short_mm,
            longest_ends_mm=((x - longest_mm / 2, y, z), (x + longest_mm / 2, y, z)),
            perpendicular_ends_mm=((x, y - short_mm / 2, z), (x, y + short_mm / 2, z)),
            slice_index=index,
        ),
        volume_ml=structure.volume_ml,
        statistics=tuple(statistics),
    )


TUMOUR = (-85.0, -10.0, 130.0)
FRESH = (70.0, 10.0, 95.0)


def visit_lesions(grid, number):
    suv = 6.54 if number == 0 else None
    tumour = lesion(grid, 1, TUMOUR, TUMOUR_MM[number], suv=suv)
    if number < 2:
        return (tumour,)
    return tumour, lesion(grid, 2, FRESH, NEW_MM, kind=LesionKind.NODULE)


def pet(seed):
    grid = thorax_grid((24, 40, 40))
    values = np.random.default_rng(seed).gamma(2.0, 0.3, grid.shape)
    values[ellipsoid(grid, TUMOUR, (18, 16, 16))] = 7.5
    suv = Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.STANDARDISED_UPTAKE)
    return Image(name="PT", volume=suv, series=series("PT", 0, description="PET AC"))


def radiograph():
    rows, columns = np.mgrid[0:80, 0:100]
    values = (200 - np.hypot(rows - 40, columns - 50)).astype(np.float32)[None]
    image = PlanarImage(values=values, spacing_mm=(1.0, 1.0))
    return Projection(name="DX", image=image, series=series("DX", 0, description="Chest PA"))


def prostate():
    axes = ((0.0, 0.26, 0.9656), (0.0, 0.9656, -0.26), (1.0, 0.0, 0.0))
    grid = Grid(shape=(12, 48, 48), spacing_mm=(3.6, 1.2, 1.2), axes=axes)
    values = np.random.default_rng(5).normal(300, 40, grid.shape).astype(np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.SIGNAL)
    return Image(name="MR", volume=volume, series=series("MR", 1, "1.2.8", "t2_tse_tra"))


def made_plan(ct, structures):
    grid = ct.volume.grid
    ptv = Structure.of(
        "PTV", ellipsoid(grid, TUMOUR, (24, 21, 21)), grid, type=StructureType.TARGET
    )
    axes = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    away_mm = np.linalg.norm(grid.to_patient(np.stack(axes, -1).astype(float)) - TUMOUR, axis=-1)
    dose_gy = 61.5 / (1 + np.exp((away_mm - 38) / 9))
    goals = (
        Goal(structure="PTV", metric=Metric.DOSE_AT_VOLUME, at=95, at_least=57.0, source="ICRU 83"),
        Goal(structure="spinal_cord", metric=Metric.MAXIMUM_DOSE, at_most=45.0, source="QUANTEC"),
        Goal(structure="lungs", metric=Metric.VOLUME_AT_DOSE, at=20, at_most=30.0),
        Goal(structure="heart", metric=Metric.MEAN_DOSE, at_most=20.0),
    )
    bins = np.linspace(0, 66, 67)
    curves = tuple(
        DoseVolumeCurve(
            structure=name,
            dose_gy=bins,
            volume_percent=100 / (1 + np.exp((bins - middle) / width)),
            volume_ml=volume_ml,
            mean_gy=middle,
        )
        for name, middle, width, volume_ml in (
            ("PTV", 60.12, 0.8, 44.4),
            ("lungs", 9.87, 3.0, 3321.0),
            ("heart", 4.56, 2.0, 339.0),
            ("spinal_cord", 2.34, 1.0, 61.0),
        )
    )
    values = (58.77, 12.34, 31.98, 4.56)
    beams = tuple(
        Beam(
            gantry_deg=angle,
            couch_deg=0,
            isocentre_mm=TUMOUR,
            beamlet_mm=5.0,
            positions_mm=np.zeros((3, 2)),
            weights=np.array([10.0, 20.5, 30.0]),
        )
        for angle in (210.0, 260.0, 310.0)
    )
    return Plan(
        prescription=Prescription(target="PTV", dose_gy=60, fractions=30, goals=goals),
        machine="generic 6 MV",
        beams=beams,
        dose=Volume(values=dose_gy.astype(np.float32), grid=grid, quantity=Quantity.ABSORBED_DOSE),
        structures=StructureSet((*structures, ptv)),
        curves=curves,
        goals=tuple(
            GoalResult(goal=g, value=v, is_met=m)
            for g, v, m in zip(goals, values, (True, True, False, True), strict=True)
        ),
        notices=(Text("made dose for tests"),),
    )


def suggestions():
    screening = Suggestion(
        rule="Lung-RADS v2022",
        applies=True,
        category="4B",
        subject="L1",
        reason=Text(
            "mean diameter {mean_mm:.1f} mm in {site}", {"mean_mm": 30.8, "site": "lung_right"}
        ),
        row=Text("solid nodule at baseline, 15 mm or larger"),
        next_step=Text("refer for further clinical evaluation"),
        citation="Christensen, JACR 2024;21:473, https://doi.org/10.1016/j.jacr.2023.09.009",
    )
    refused = Suggestion(
        rule="Lung-RADS v2022",
        applies=False,
        category="",
        subject="examination",
        reason=Text("not applicable: not a screening CT"),
    )
    return AllSuggestions(((screening,), (refused,), (refused,)))


def follow_up():
    def entry(track, visit, status, diameter_mm, lesion_id, **more):
        return TimelineEntry(
            track=track,
            visit=visit,
            status=status,
            lesion_id=lesion_id,
            diameter_mm=diameter_mm,
            volume_ml=diameter_mm / 4,
            is_target=track == "T1",
            is_lymph_node=False,
            **more,
        )

    entries = (
        entry("T1", 0, LesionStatus.BASELINE, TUMOUR_MM[0], "L1"),
        entry("T1", 1, LesionStatus.PRESENT, TUMOUR_MM[1], "L1", match_distance_mm=2.37),
        entry("T1", 2, LesionStatus.PRESENT, TUMOUR_MM[2], "L1", match_distance_mm=1.18),
        entry("T2", 2, LesionStatus.NEW, NEW_MM, "L2"),
    )
    matrix = ((1.0, 0, 0, 1.5), (0, 1.0, 0, -2.0), (0, 0, 1.0, 3.0), (0, 0, 0, 1.0))
    registration = Registration(
        matrix=matrix,
        correlation_before=0.812,
        correlation_after=0.957,
        verdict=Verdict.GOOD,
        reason=Text("correlation rose"),
    )
    partial = Response(
        visit=1,
        category=ResponseCategory.PARTIAL_RESPONSE,
        criterion="RECIST 1.1",
        sum_mm=TUMOUR_MM[1],
        baseline_mm=TUMOUR_MM[0],
        nadir_mm=TUMOUR_MM[0],
        reason=Text("sum fell by {percent:.1f} %", {"percent": 40.4}),
        citation="Eisenhauer, EJC 2009;45:228",
    )
    worse = replace(
        partial,
        visit=2,
        category=ResponseCategory.PROGRESSIVE_DISEASE,
        sum_mm=TUMOUR_MM[2],
        nadir_mm=TUMOUR_MM[1],
        reason=Text("new lesion"),
    )
    return FollowUp(
        timeline=Timeline(
            study_uids=("1.2.3.0", "1.2.3.1", "1.2.3.2"),
            entries=entries,
            registrations=(registration, registration),
        ),
        responses=(partial, worse),
    )


def made_case(name=HOSTILE, shape=(40, 64, 64)):
    grid = thorax_grid(shape)
    patient = Patient(id="A<b>1", name=name, birth_date=date(1960, 2, 3), sex="F")
    structures = structures_of(grid)
    visits, segmented, found = [], [], []
    for number, time in enumerate(DATES):
        lesions = visit_lesions(grid, number)
        places = [(TUMOUR, TUMOUR_MM[number] / 2)] + [(FRESH, NEW_MM / 2)] * (number == 2)
        ct = Image(
            name="CT",
            volume=thorax(grid, places, seed=number),
            series=series("CT", number, description="Thorax 5 mm"),
        )
        extra = {0: (pet(3),), 1: (prostate(),)}.get(number, ())
        visits.append(
            Examination(
                patient=patient,
                study_uid=f"1.2.3.{number}",
                time=time,
                description="Screening <b>CT</b>" if number == 0 else "Follow-up CT",
                images=(ct, *extra),
                projections=(radiograph(),) if number == 1 else (),
                notices=(Text("one file was set aside"),) if number == 1 else (),
            )
        )
        masks = StructureSet((*structures, *(i.structure for i in lesions)))
        segmented.append(VisitStructures(images=(ImageStructures(image="CT", structures=masks),)))
        inside = Statistics(
            image="CT", unit="HU", mean=-819.6, deviation=18.2, minimum=-900, maximum=-700
        )
        organs = tuple(
            OrganMeasure(name=s.name, volume_ml=s.volume_ml, statistics=inside) for s in structures
        )
        found.append(Findings(study_uid=f"1.2.3.{number}", organs=organs, lesions=lesions))
    return CaseResults(
        examinations=Examinations(patient, tuple(visits)),
        segmentations=Segmentations(tuple(segmented)),
        findings=AllFindings(tuple(found)),
        suggestions=suggestions(),
        planning=Planning(plan=made_plan(visits[0].images[0], structures), visit=0, image="CT"),
        following=Following(follow_up=follow_up()),
        worklist=Worklist(
            tuple(
                WorklistItem(
                    position=p,
                    study_uid=f"1.2.3.{n}",
                    patient_id="A<b>1",
                    time=DATES[n],
                    urgency=u,
                    reason=Text("arrived first"),
                )
                for p, n, u in ((1, 2, 3), (2, 0, 2), (3, 1, 1))
            )
        ),
        provenance=Provenance(
            version="0.1.0",
            now=datetime(2026, 7, 1, 8, 0, tzinfo=UTC),
            inputs=(("visit1/IM<0001>", "ab" * 32),),
            stages=(StageRecord(name="segment", key="cd" * 32, options='{"air_hu": -320}'),),
        ),
    )


def empty_case():
    patient = Patient(id="E1")
    visit = Examination(patient=patient, study_uid="1.2.3.0", time=None)
    return CaseResults(
        examinations=Examinations(patient, (visit,)),
        segmentations=Segmentations((VisitStructures(images=()),)),
        findings=AllFindings((Findings(study_uid="1.2.3.0"),)),
        suggestions=AllSuggestions(((),)),
        planning=Planning(plan=None, reason=Text("no CT to plan on")),
        following=Following(follow_up=None, reason=Text("only one visit")),
        worklist=Worklist(()),
        provenance=Provenance(
            version="0.1.0", now=datetime(2026, 7, 1, tzinfo=UTC), inputs=(), stages=()
        ),
    )


@pytest.fixture(scope="session")
def case():
    """Everything a report can show."""
    return made_case()


@pytest.fixture(scope="session")
def nothing():
    """A patient of whom nothing is known."""
    return empty_case()
