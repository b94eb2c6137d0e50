"""One line of the results, and how a time is taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """Something measured, beside a peer."""

    what: str
    ours: float
    unit: str
    peer: str
    theirs: float
    higher_is_better: bool = False

    @property
    def ratio(self) -> float:
        """Ours divided by theirs."""
        return self.ours / self.theirs

    @property
    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.what} | {self.ours:.3g} {self.unit} | {self.peer}: {self.theirs:.3g} "
            f"{self.unit} | {self.ratio:.3g}{' (higher is better)' * self.higher_is_better} |"
        )

    @property
    def text(self) -> str:
        """The row for a terminal."""
        return self.row.strip("| ")


def best(
    work: Callable[[], object],
    *,
    clock: Callable[[], float] = time.perf_counter,
    repetitions: int = 3,
) -> float:
    """Return the shortest time of several runs after a warm-up [s]."""
    work()
    times = []
    for _ in range(repetitions):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)
