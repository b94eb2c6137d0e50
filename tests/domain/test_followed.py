"""Which image of each visit is compared over time."""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.followed import followed_images, followed_modality, sequence
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume

PATIENT = Patient(id="P1")
LESION = ("lesion",)


def image(name, modality, *, description="", structures=(), slices=6):
    grid = Grid(shape=(slices, 4, 4), spacing_mm=(3.0, 1.0, 1.0))
    volume = Volume(values=np.zeros(grid.shape, np.float32), grid=grid, quantity=Quantity.SIGNAL)
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality=modality,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uids=("2.25.4",),
        description=description,
    )
    drawn = tuple(
        Structure.of(n, np.ones(grid.shape, bool), grid, type=StructureType.LESION)
        for n in structures
    )
    return Image(name=name, volume=volume, series=series, structures=StructureSet(drawn))


def visits(*rows):
    return [
        Examination(patient=PATIENT, study_uid=f"2.25.{n}", time=None, images=tuple(row))
        for n, row in enumerate(rows)
    ]


def chosen(*rows):
    return [found and found.name for found in followed_images(visits(*rows))]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Sag T2 FLAIR 3mm", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("AX T1 MPRAGE", "T1"),
        ("T1 3D post Gd", "T1 with contrast"),
        ("t1ce", "T1 with contrast"),
        ("ep2d_diff ADC", "ADC"),
        ("DWI b1000", "DWI"),
        ("T2 TSE", "T2"),
        ("localizer", ""),
    ],
)
def test_sequences_are_told_by_what_their_description_says(said, expected):
    assert sequence(image("MR", "MR", description=said)) == expected


def test_ct_comes_before_mr_and_pet():
    both = [image("MR", "MR"), image("CT", "CT")]

    assert followed_modality(visits(both, both)) == "CT"
    assert chosen(both, both) == ["CT", "CT"]


def test_mr_is_followed_where_fewer_than_two_visits_have_a_ct():
    assert chosen([image("CT", "CT"), image("MR", "MR")], [image("MR", "MR")]) == ["MR", "MR"]


def test_one_sequence_is_compared_that_most_visits_have():
    t1, flair, t2 = image("t1", "MR"), image("flair", "MR"), image("t2", "MR")

    assert chosen([t1, flair], [flair, t2], [t1, flair]) == ["flair"] * 3
    assert chosen([t1, t2], [t2], [flair]) == ["t2", "t2", None]


def test_the_sequence_that_lesions_are_drawn_on_wins_a_tie():
    t1, flair = image("t1", "MR", structures=LESION), image("flair", "MR")

    assert chosen([t1, flair], [t1, flair]) == ["t1", "t1"]


def test_localisers_of_a_few_slices_are_not_followed():
    thin = image("MR", "MR", slices=3)

    assert chosen([thin, image("MR 2", "MR")], [image("MR 3", "MR"), thin]) == ["MR 2", "MR 3"]


def test_nothing_is_followed_where_no_two_visits_share_a_modality():
    assert chosen([image("MR", "MR")], [image("PT", "PT")]) == [None, None]
