"""Every error this package raises on purpose.

    AegleError
    ├── InputError              the data cannot be used as given
    │   ├── FileError           a file is damaged, cut off or of a kind that is not supported
    │   ├── GeometryError       grids, orientations or frames of reference disagree
    │   │   ├── SliceSpacingError   slices are missing, doubled or unevenly spaced
    │   │   └── GantryTiltError     slices are sheared against each other
    │   ├── MixedSeriesError    one series holds several acquisitions
    │   ├── IdentityError       the data belong to different patients
    │   └── QuantityError       voxel values mean something else than required
    ├── OptionError             an option or a catalogue name is wrong
    └── WorkflowError           stages do not fit together

Callers catch ``AegleError`` at the edge (CLI, web) and show its text unchanged, so each
message says what was found, what was expected and what to do next.
"""


class AegleError(Exception):
    """Base of all errors raised on purpose."""


class InputError(AegleError, ValueError):
    """The data cannot be used as given."""


class FileError(InputError):
    """A file is damaged, cut off or of a kind that is not supported.

    Built from its three parts, so that no message lacks one.
    """

    def __init__(self, path: object, finding: str, remedy: str) -> None:
        super().__init__(f"{path}: {finding} {remedy}")
        self.path = str(path)
        self.finding = finding
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["FileError"], tuple[str, str, str]]:
        """Rebuild from the three parts (errors cross process borders)."""
        return (type(self), (self.path, self.finding, self.remedy))


class GeometryError(InputError):
    """Grids, orientations or frames of reference disagree."""


class SliceSpacingError(GeometryError):
    """Slices of a series are missing, doubled or unevenly spaced."""


class GantryTiltError(GeometryError):
    """Slices of a series are sheared against each other by a tilted gantry."""


class MixedSeriesError(InputError):
    """One series holds several acquisitions, sizes or orientations."""


class IdentityError(InputError):
    """The data belong to different patients."""


class QuantityError(InputError):
    """Voxel values mean something else than the operation requires."""


class OptionError(AegleError, ValueError):
    """An option or a catalogue name is wrong."""


class WorkflowError(AegleError):
    """Stages do not fit together."""
