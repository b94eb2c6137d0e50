"""Stages in order, each checked to have what it needs before anything runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aegle
from aegle.domain.case import StageRecord
from aegle.domain.errors import WorkflowError
from aegle.record.identity import digest
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.stage import Progress, Stage, silent

Announce = Callable[[Stage, bool], Progress]
"""Called before each stage with whether its kept result is used; gives its progress."""


def unannounced(stage: Stage, reused: bool) -> Progress:  # noqa: ARG001
    """Announce nothing."""
    return silent


@cache
def code_digest() -> str:
    """Return a digest of this package's source: other code may give another result."""
    root = Path(aegle.__file__).parent
    sources = sorted(
        p for p in root.rglob("*") if p.suffix in {".py", ".toml", ".json", ".npz", ".safetensors"}
    )
    return digest(*(part for p in sources for part in (str(p.relative_to(root)), p.read_bytes())))


@dataclass(frozen=True)
class Pipeline:
    """An ordered set of stages that starts from given types."""

    starts_from: tuple[type, ...]
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        known = dict.fromkeys(self.starts_from, "the input")
        for stage in self.stages:
            for kind in stage.needs:
                if kind not in known:
                    raise WorkflowError(
                        f"Stage '{stage.name}' needs {kind.__name__}, which nothing before it "
                        f"gives; known so far: {', '.join(k.__name__ for k in known)}."
                    )
            if stage.gives in known:
                raise WorkflowError(
                    f"Stage '{stage.name}' gives {stage.gives.__name__} again, after "
                    f"{known[stage.gives]}."
                )
            known[stage.gives] = f"'{stage.name}'"

    def run(
        self,
        folder: CaseFolder,
        given: dict[type, tuple[Any, str]],
        *,
        announce: Announce = unannounced,
    ) -> tuple[dict[type, Any], tuple[StageRecord, ...]]:
        """Run every stage that is not already kept, in order.

        Args:
            folder: Where results are kept and found again.
            given: What the pipeline starts from: type to value and its digest.
            announce: Told of each stage before it starts.

        Returns:
            Every result by its type, and what each was made from.
        """
        results = {kind: value for kind, (value, _) in given.items()}
        digests = {kind: known for kind, (_, known) in given.items()}
        records = []
        for stage in self.stages:
            key = digest(
                stage.name, code_digest(), stage.settings, *(digests[k] for k in stage.needs)
            )
            found = folder.digest_of(stage.name, key)
            progress = announce(stage, found is not None)
            if found is None:
                result = stage.call([results[kind] for kind in stage.needs], progress)
                found = folder.keep(stage.name, key, result)
            # Always the kept result, so that an interrupted run goes on with the same numbers.
            results[stage.gives] = folder.load(stage.name, stage.gives)
            digests[stage.gives] = found
            records.append(StageRecord(name=stage.name, key=key, options=stage.settings))
        return results, tuple(records)
