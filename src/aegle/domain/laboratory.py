"""What the laboratory said of a patient: values in one unit per analyte, or why there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aegle.domain.errors import InputError
from aegle.domain.text import Text

Comparator = Literal["", "<", "<=", ">", ">="]


@dataclass(frozen=True, kw_only=True)
class LaboratoryValue:
    """One measurement, or the reason why it cannot be used."""

    analyte: str
    """Name in the list of analytes; what the source called it, where that is not known."""
    value: float | None
    """In ``unit``; None where missing."""
    unit: str = ""
    """UCUM, the analyte's own."""
    time: datetime | None = None
    """When the sample was taken; None if the source does not say."""
    comparator: Comparator = ""
    """That the true value lies below or above what was stated."""
    code: str = ""
    """LOINC, as the source gave it."""
    reason: Text = Text("")
    """Why the value is missing; empty where it is there."""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason.template):
            raise InputError(
                f"'{self.analyte}' needs either a value or the reason why it is missing."
            )


@dataclass(frozen=True, kw_only=True)
class LaboratoryTable:
    """All values of one patient, as the source lists them."""

    patient: str
    values: tuple[LaboratoryValue, ...] = ()

    def __iter__(self) -> Iterator[LaboratoryValue]:
        """Yield every value, the missing ones too."""
        return iter(self.values)

    @property
    def known(self) -> tuple[LaboratoryValue, ...]:
        """Values that can be used."""
        return tuple(value for value in self.values if value.value is not None)

    @property
    def missing(self) -> tuple[LaboratoryValue, ...]:
        """What was stated and cannot be used, each with its reason."""
        return tuple(value for value in self.values if value.value is None)

    def latest(self, analyte: str, *, before: datetime | None = None) -> LaboratoryValue | None:
        """Return the last usable value of an analyte; None if there is none.

        Args:
            analyte: Its name.
            before: Only samples taken before this moment, or at it; values without a time do not
                count then.
        """
        found = [v for v in self.known if v.analyte == analyte]
        if before is not None:
            found = [v for v in found if v.time is not None and v.time <= before]
        return max(found, key=lambda v: v.time or datetime.min, default=None)
