"""The few worst of many, kept while they pass by."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worst(Generic[Item]):
    """Keeps what goes with the lowest scores; of equal ones the first."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` at most."""
        self._most = most
        self._kept: list[tuple[float, int, Item]] = []

    def takes(self, score: float) -> bool:
        """Return whether something with this score would be kept."""
        return len(self._kept) < self._most or score < self._kept[-1][0]

    def put(self, score: float, place: int, item: Item) -> None:
        """Keep an item if it is among the worst so far.

        Args:
            score: What is sorted by.
            place: Where it stood, which decides between equal scores.
            item: What is kept.
        """
        self._kept.append((score, place, item))
        self._kept.sort(key=lambda one: one[:2])
        del self._kept[self._most :]

    def ordered(self) -> Iterator[Item]:
        """Yield what was kept, the worst first."""
        return (item for _, _, item in self._kept)
