"""PET values as standardised uptake by body weight (SUVbw) [g/mL].

The recipe is the vendor-neutral one of the Quantitative Imaging Biomarkers Alliance: activity
concentration times body weight, divided by the injected activity at the moment to which the
images are decay corrected. Where the file does not allow it, values stay as they are and the
reason is given; nothing is assumed.

Sources: DICOM PS3.3 C.8.9.1 (PET series), QIBA FDG-PET/CT Profile 1.13, appendix
"Vendor-neutral pseudo-code for SUV calculation".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegle.dicom import tags
from aegle.dicom.elements import Elements
from aegle.dicom.moments import moment, moment_of
from aegle.domain.text import Text
from aegle.domain.volume import Quantity

_GE_CREATOR, _GE_SCAN_TIME = 0x00090010, 0x0009000D
_PHILIPS_CREATOR, _PHILIPS_SUV_FACTOR = 0x70530010, 0x70530000
_LONGEST_WAIT = timedelta(hours=12)

CONVERTED = (
    "PET values are standardised uptake by body weight: {weight_kg:.1f} kg, {dose_mbq:.1f} MBq "
    "at the moment of reference."
)
STAYS = "PET values stay in {unit}: {reason}."
AFTER_MIDNIGHT = "The tracer is taken to have been injected before midnight, at {time}."


@dataclass(frozen=True)
class Uptake:
    """What PET values mean after multiplication with a factor."""

    quantity: Quantity
    factor: float = 1.0
    notices: tuple[Text, ...] = ()


class _Unknown(Exception):  # noqa: N818  (an internal signal, never shown)
    """Why uptake cannot be computed."""


def uptake_of(slices: Sequence[Elements]) -> Uptake:
    """Return what the values of a PET series mean.

    Args:
        slices: Data sets of all slices; slices differ in acquisition time.
    """
    first = slices[0]
    units = first.text(tags.UNITS)
    if units == "GML":
        return _given_as_uptake(first)
    try:
        if units == "BQML":
            return _from_activity(slices)
        if units == "CNTS":
            return Uptake(Quantity.STANDARDISED_UPTAKE, _philips_factor(first))
        raise _Unknown(f"their unit is {units or 'not stated'}")
    except _Unknown as reason:
        is_activity = units == "BQML"
        quantity = Quantity.ACTIVITY_CONCENTRATION if is_activity else Quantity.SIGNAL
        unit = quantity.value if is_activity else (units or "an unknown unit")
        return Uptake(quantity, notices=(Text(STAYS, {"unit": unit, "reason": str(reason)}),))


def _given_as_uptake(first: Elements) -> Uptake:
    kind = first.text(tags.SUV_TYPE) or "BW"
    if kind == "BW":
        return Uptake(Quantity.STANDARDISED_UPTAKE)
    reason = f"they are uptake by {kind}, not by body weight"
    return Uptake(Quantity.SIGNAL, notices=(Text(STAYS, {"unit": "g/mL", "reason": reason}),))


def _from_activity(slices: Sequence[Elements]) -> Uptake:
    first = slices[0]
    corrections = first.texts(tags.CORRECTED_IMAGE)
    if "ATTN" not in corrections or "DECY" not in corrections:
        raise _Unknown("they are not corrected for attenuation and decay")
    weight_kg = first.number(tags.PATIENT_WEIGHT)
    if not weight_kg or weight_kg <= 0:
        raise _Unknown("the patient's weight is not stated")
    tracer = first.first(tags.RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE)
    if tracer is None:
        raise _Unknown("the tracer is not described")
    dose_bq = tracer.number(tags.RADIONUCLIDE_TOTAL_DOSE)
    if not dose_bq or dose_bq <= 0:
        raise _Unknown("the injected activity is not stated")
    remaining, notices = _remaining(slices, tracer)
    facts = {"weight_kg": weight_kg, "dose_mbq": dose_bq * remaining / 1e6}
    return Uptake(
        Quantity.STANDARDISED_UPTAKE,
        weight_kg * 1000 / (dose_bq * remaining),
        (Text(CONVERTED, facts), *notices),
    )


def _remaining(slices: Sequence[Elements], tracer: Elements) -> tuple[float, tuple[Text, ...]]:
    """Return which part of the injected activity is left at the moment of reference."""
    correction = slices[0].text(tags.DECAY_CORRECTION)
    if correction == "ADMIN":
        return 1.0, ()
    if correction != "START":
        raise _Unknown("it is not stated to which moment they are decay corrected")
    half_life_s = tracer.number(tags.RADIONUCLIDE_HALF_LIFE)
    if not half_life_s or half_life_s <= 0:
        raise _Unknown("the half-life of the tracer is not stated")
    start = scan_start(slices, half_life_s)
    injected, notices = _injection(tracer, start)
    return 2.0 ** (-(start - injected).total_seconds() / half_life_s), notices


def scan_start(slices: Sequence[Elements], half_life_s: float) -> datetime:
    """Return the moment to which a series with decay correction START is corrected.

    That is the series date and time, unless a later reconstruction has overwritten it; then it
    lies after the first acquisition, and the scanner's own fields are asked instead.
    """
    acquired = [a for s in slices if (a := _acquired(s)) is not None]
    if len(acquired) < len(slices):
        raise _Unknown("the time of acquisition is not stated")
    first = slices[0]
    series = moment(first.text(tags.SERIES_DATE), first.text(tags.SERIES_TIME))
    if series is not None and first.text(tags.SERIES_TIME) and series <= min(acquired):
        return series
    if first.text(_GE_CREATOR) == "GEMS_PETD_01":
        private = moment_of(first.text(_GE_SCAN_TIME | 0x1000))
        if private is not None:
            return private
    earliest = min(slices, key=lambda s: _acquired(s) or datetime.max)
    return _start_from_frame(earliest, half_life_s)


def _start_from_frame(earliest: Elements, half_life_s: float) -> datetime:
    """Go back from the frame's reference time, at which its activity has its mean value."""
    reference_ms = earliest.number(tags.FRAME_REFERENCE_TIME)
    duration_ms = earliest.number(tags.ACTUAL_FRAME_DURATION)
    acquired = _acquired(earliest)
    if reference_ms is None or not duration_ms or duration_ms <= 0 or acquired is None:
        raise _Unknown("the series is dated after its acquisition, so its start is not known")
    decay = math.log(2) / half_life_s * duration_ms / 1000
    mean_s = duration_ms / 1000 * math.log(decay / -math.expm1(-decay)) / decay
    return acquired + timedelta(seconds=mean_s - reference_ms / 1000)


def _acquired(found: Elements) -> datetime | None:
    if not found.text(tags.ACQUISITION_TIME):
        return None
    return moment(found.text(tags.ACQUISITION_DATE), found.text(tags.ACQUISITION_TIME))


def _injection(tracer: Elements, start: datetime) -> tuple[datetime, tuple[Text, ...]]:
    """Return when the tracer was injected; a bare time is of the day of the scan."""
    whole = moment_of(tracer.text(tags.RADIOPHARMACEUTICAL_START_DATE_TIME))
    time = tracer.text(tags.RADIOPHARMACEUTICAL_START_TIME)
    injected = whole or (moment(start.strftime("%Y%m%d"), time) if time else None)
    if injected is None:
        raise _Unknown("the time of injection is not stated")
    if injected <= start:
        return _plausible(injected, start), ()
    if whole is not None:
        raise _Unknown("the injection is dated after the scan")
    injected -= timedelta(days=1)
    return _plausible(injected, start), (Text(AFTER_MIDNIGHT, {"time": f"{injected:%H:%M}"}),)


def _plausible(injected: datetime, start: datetime) -> datetime:
    if start - injected > _LONGEST_WAIT:
        raise _Unknown("the injection is dated more than 12 hours before the scan")
    return injected


def _philips_factor(first: Elements) -> float:
    if first.text(_PHILIPS_CREATOR).startswith("Philips PET Private Group"):
        factor = first.number(_PHILIPS_SUV_FACTOR | 0x1000)
        if factor:
            return factor
    raise _Unknown("they are counts, and no factor is stated")
