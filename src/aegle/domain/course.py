"""How an optimisation comes along, for whoever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where an optimisation stands after an iteration."""

    done: int
    """Steps of the whole plan, iterations among them."""
    steps: int
    objective: float
    doses: Mapping[str, float]
    """Before any normalisation, by what they are called: target D95, organ mean [Gy]."""


@runtime_checkable
class Watcher(Protocol):
    """A progress callback that also wants to see the course."""

    def __call__(self, done: int, steps: int, /) -> None:
        """Take the steps done and the steps in all."""
        ...

    def watch(self, course: Course, /) -> None:
        """Take where the optimisation stands."""
        ...
