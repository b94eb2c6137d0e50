"""Laboratory values from whichever file they come in."""

from pathlib import Path

from aegle.diagnosis.laboratory.csv_reading import read_csv
from aegle.diagnosis.laboratory.fhir_reading import read_fhir
from aegle.domain.laboratory import LaboratoryTable


def laboratory(path: str | Path) -> tuple[LaboratoryTable, ...]:
    """Read laboratory values, one table per patient, each value in its analyte's unit.

    Args:
        path: FHIR R4 or R4B bundle (``.json``), or CSV with one value per row.

    Raises:
        FileError: The file cannot be read.
        IdentityError: A bundle holds several patients.
    """
    file = Path(path)
    return (read_fhir(file),) if file.suffix.lower() == ".json" else read_csv(file)
