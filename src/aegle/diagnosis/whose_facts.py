"""Whether what is stated beside the images is of the patient who was examined.

Another date of birth or sex is another patient and refused. Numbers of patients differ between
hospitals and after images were made anonymous, so another number alone is said, not refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from aegle.domain.errors import IdentityError, OptionError
from aegle.domain.study import Patient
from aegle.domain.text import Text

KEYS = frozenset({"ids", "birth_date", "sex"})
SEXES = {"female": "F", "male": "M"}
"""FHIR R4B, administrative-gender, in DICOM's letters; other codes tell nobody apart."""
UNSURE = (
    "What is stated beside the images is of patient {stated}, the images are of {images}, and no "
    "date of birth says whether they are one person."
)

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StatedPatient:
    """Whom facts name; empty where they name nobody."""

    ids: tuple[str, ...] = ()
    """Numbers that the patient goes by."""
    birth_date: date | None = None
    sex: str = ""
    """``F`` or ``M``; empty if it is not known, or another."""


def stated_patient(tree: Any, name: str) -> StatedPatient:
    """Return whom the section ``patient`` of facts names.

    Raises:
        OptionError: It is no object of ``ids``, ``birth_date`` and ``sex``, or one of them is
            malformed.
    """
    form = f'{name}: \'patient\' is {tree!r}; write {{"ids": ["4711"], "birth_date": "1961-02-14"}}'
    if not isinstance(tree, Mapping) or set(tree) - KEYS:
        raise OptionError(f"{form}.")
    ids, born, sex = tree.get("ids", []), tree.get("birth_date"), tree.get("sex", "")
    if not isinstance(ids, list) or not all(isinstance(one, str) and one for one in ids):
        raise OptionError(f"{form}, ids as a list of texts.")
    if sex not in ("", *SEXES.values()):
        raise OptionError(f"{form}, sex as F or M.")
    try:
        birth_date = date.fromisoformat(born) if born is not None else None
    except (TypeError, ValueError) as error:
        raise OptionError(f"{form}; {born!r} is no date.") from error
    return StatedPatient(ids=tuple(ids), birth_date=birth_date, sex=sex)


def of_resources(bundle: Json, reference: str) -> dict[str, Any]:
    """Return the section ``patient`` of a FHIR bundle.

    Args:
        bundle: The bundle.
        reference: To the patient, by which its observations name the subject; may be empty.
    """
    found = list(_patients(bundle, reference)) or list(_patients(bundle, ""))
    number = reference.rpartition("/")[2]
    if len(found) != 1:
        return {"ids": [number]} if number else {}
    resource = found[0]
    named = (one.get("value") for one in _objects(resource.get("identifier")))
    ids = [one for one in (*named, resource.get("id") or number) if isinstance(one, str) and one]
    section: dict[str, Any] = {"ids": list(dict.fromkeys(ids))}
    born = resource.get("birthDate")
    if isinstance(born, str) and len(born) == len("1961-02-14"):
        section["birth_date"] = born
    if sex := SEXES.get(str(resource.get("gender"))):
        section["sex"] = sex
    return section


def both(first: Json, second: Json, name: str) -> dict[str, Any]:
    """Return one section ``patient`` of two that are of the same person.

    Raises:
        IdentityError: They state another date of birth or sex.
    """
    one, other = stated_patient(first, "facts"), stated_patient(second, name)
    for what, here, there in (
        ("born", one.birth_date, other.birth_date),
        ("of sex", one.sex, other.sex),
    ):
        if here and there and here != there:
            raise IdentityError(
                f"{name}: is of a patient {what} {there}, another file of one {what} {here}; give "
                "files of one patient."
            )
    ids = list(dict.fromkeys((*one.ids, *other.ids)))
    return {**first, **second, **({"ids": ids} if ids else {})}


def caution_of(stated: StatedPatient, patient: Patient) -> Text | None:
    """Return that two numbers may be of different people; None where nothing speaks for it.

    Raises:
        IdentityError: The date of birth or the sex differ from those of the images.
    """
    for what, said, seen in (
        ("born", stated.birth_date, patient.birth_date),
        ("of sex", stated.sex, patient.sex if patient.sex in SEXES.values() else ""),
    ):
        if said and seen and said != seen:
            raise IdentityError(
                f"What is stated beside the images is of a patient {what} {said}, the images are "
                f"of {patient.id}, {what} {seen}; give the facts of this patient."
            )
    is_confirmed = patient.id in stated.ids or (stated.birth_date and patient.birth_date)
    if is_confirmed or not stated.ids:
        return None
    return Text(UNSURE, {"stated": stated.ids[0], "images": patient.id})


def _patients(bundle: Json, reference: str) -> Iterator[Json]:
    """Yield the patients of a bundle, or the one that a reference names."""
    for entry in _objects(bundle.get("entry")):
        resource = entry.get("resource")
        if not isinstance(resource, Mapping) or resource.get("resourceType") != "Patient":
            continue
        names = (entry.get("fullUrl"), f"Patient/{resource.get('id')}")
        if not reference or reference in names:
            yield resource


def _objects(tree: Any) -> list[Json]:
    return [one for one in tree if isinstance(one, Mapping)] if isinstance(tree, list) else []
