"""A stage: a function whose signature says what it needs and what it gives.

    def segment(examinations: Examinations, *, options: SegmentOptions) -> Segmentations: ...

needs Examinations and gives Segmentations. Nothing else declares it. A stage that takes long
may also take ``progress``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from aegle.domain.errors import WorkflowError

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A named function, with what it needs, gives and is set to."""

    name: str
    run: Callable[..., Any]
    needs: tuple[type, ...]
    gives: type
    options: Any = None
    reports_progress: bool = False

    @classmethod
    def of(cls, name: str, run: Callable[..., Any], options: Any = None) -> "Stage":
        """Read needs and gives from the annotations of ``run``.

        Raises:
            WorkflowError: A parameter or the result is not annotated.
        """
        hints = get_type_hints(run)
        hints.pop("options", None)
        reports_progress = hints.pop("progress", None) is not None
        if "return" not in hints:
            raise WorkflowError(f"Stage '{name}' does not say what it gives; annotate its result.")
        gives = hints.pop("return")
        return cls(
            name=name,
            run=run,
            needs=tuple(hints.values()),
            gives=gives,
            options=options,
            reports_progress=reports_progress,
        )

    @property
    def settings(self) -> str:
        """The options as canonical JSON, for the record."""
        if self.options is None:
            return "{}"
        values = TypeAdapter(type(self.options)).dump_python(self.options, mode="json")
        return json.dumps(values, sort_keys=True)

    def call(self, inputs: list[Any], progress: Progress = silent) -> Any:
        """Run the function on its inputs."""
        extras: dict[str, Any] = {} if self.options is None else {"options": self.options}
        if self.reports_progress:
            extras["progress"] = progress
        return self.run(*inputs, **extras)
