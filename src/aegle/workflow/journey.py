"""One patient's journey from files to report: the stages in order, and what surrounds them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aegle
from aegle.diagnosis.patient_facts import read_facts
from aegle.diagnosis.whose_facts import caution_of
from aegle.domain.assessment import AllAssessments
from aegle.domain.case import (
    AllFindings,
    AllSuggestions,
    CaseResults,
    Examinations,
    Following,
    Planning,
    Provenance,
    Segmentations,
)
from aegle.domain.errors import IdentityError, OptionError
from aegle.domain.worklist import Worklist
from aegle.planning.density_table import density_table
from aegle.record.identity import digest
from aegle.report.files import write_whole
from aegle.report.language import Language
from aegle.response.matching import tracked
from aegle.workflow import case_folder, reviews
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.dose_planning import library_digest
from aegle.workflow.exporting import publish
from aegle.workflow.following import FollowOptions, follow
from aegle.workflow.given_visits import visits_in_order
from aegle.workflow.options import CaseOptions
from aegle.workflow.pipeline import Announce, Pipeline, code_digest, unannounced
from aegle.workflow.reading import (
    Inputs,
    ReadingOptions,
    gather,
    gather_visits,
    read_images,
)
from aegle.workflow.stage import Progress, Stage
from aegle.workflow.stages import (
    AssessOptions,
    SegmentOptions,
    SuggestingOptions,
    TreatmentOptions,
    assess_images,
    find_structures,
    measure,
    order_worklist,
    plan_treatment,
    suggest_categories,
)
from aegle.workflow.suggesting import FACTS, kept_facts


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of one run."""

    paths: tuple[Path, ...]
    out: Path
    now: datetime
    options: CaseOptions
    language: Language = "en"
    structures: tuple[Path, ...] = ()
    """Label maps, one for each path, where ``is_follow_up``."""
    facts: str | None = None
    """JSON text of what is stated beside the images; None: what was stated last, if anything."""
    facts_name: str = FACTS
    is_follow_up: bool = False
    """Whether each path is one visit, the baseline first."""


def follow_up(
    visits: Iterable[str | Path | tuple[str | Path, str | Path]], options: CaseOptions, **rest: Any
) -> Request:
    """Return the request to compare visits; each is a path, or a pair with its label map.

    A plan is made only where the options name the visit to plan on.

    Raises:
        OptionError: Some visits have a label map and others none.
    """
    pairs = [v if isinstance(v, tuple) else (v, None) for v in visits]
    structures = tuple(Path(s) for _, s in pairs if s is not None)
    if structures and len(structures) != len(pairs):
        raise OptionError(
            f"{len(structures)} label map(s) for {len(pairs)} visits; give one for each, or none."
        )
    paths = tuple(Path(path) for path, _ in pairs)
    choice = options.choice
    compared = replace(options, choice=replace(choice, visit=choice.visit or "none"))
    return Request(paths=paths, structures=structures, options=compared, is_follow_up=True, **rest)


def pipeline(options: CaseOptions, facts: str = "") -> Pipeline:
    """Return the stages of a case, set as ``options`` says, with what is stated beside it."""
    suggesting = SuggestingOptions(rules=options.suggest, facts=facts)
    treatment = TreatmentOptions(
        choice=options.choice,
        margins=options.margins,
        prescription=options.prescription,
        experience=options.experience,
        library_sha256=library_digest(options.experience),
        photons=options.photons,
        protons=options.protons,
        densities=density_table(options.density),
    )
    following = FollowOptions.of(options)
    assessing = AssessOptions(quality=options.quality, classify=options.classify)
    finding = SegmentOptions(organs=options.organs, lesions=options.lesions)
    return Pipeline(
        (Inputs,),
        (
            Stage.of(
                "images", read_images, ReadingOptions(images=options.images, files=options.files)
            ),
            Stage.of("assessments", assess_images, assessing),
            Stage.of("structures", find_structures, finding),
            Stage.of("findings", measure, options.measure),
            Stage.of("suggestions", suggest_categories, suggesting),
            Stage.of("plan", plan_treatment, treatment),
            Stage.of("follow-up", follow, following),
            Stage.of("worklist", order_worklist, options.worklist),
        ),
    )


def run(request: Request, *, announce: Announce = unannounced) -> CaseResults:
    """Take one patient's files through every stage that they allow, and write the report.

    Args:
        request: Files, folder of the case, options, language and time stamp.
        announce: Told of each stage before it starts.

    Returns:
        Everything that is known about the case. The case folder holds the same.

    Raises:
        InputError: The files cannot be used; the message names file, finding and remedy.
        OptionError: The case folder holds something else.
    """
    scanning = Stage(name="scan", run=gather, needs=(), gives=Inputs)
    inputs = _inputs(request, announce(scanning, False))
    with case_folder.opened(request.out) as folder:
        _refuse_another_patient(folder, inputs)
        facts = kept_facts(folder.root) if request.facts is None else request.facts
        if facts:
            # Before anything runs: what is wrong with them is said at once.
            caution_of(read_facts(facts, request.facts_name).whose, inputs.patient)
        stages = pipeline(request.options, facts or "")
        found, records = stages.run(folder, {Inputs: (inputs, inputs.digest)}, announce=announce)
        provenance = Provenance(
            version=aegle.__version__,
            now=request.now,
            inputs=inputs.contents,
            stages=records,
        )
        results = CaseResults(
            examinations=found[Examinations],
            segmentations=found[Segmentations],
            findings=_tracked(found[AllFindings], found[Following]),
            suggestions=found[AllSuggestions],
            planning=found[Planning],
            following=found[Following],
            worklist=found[Worklist],
            provenance=provenance,
            assessments=found[AllAssessments],
            reviews=reviews.kept(folder.root),
        )
        writing = Stage(name="report", run=publish, needs=(), gives=CaseResults)
        key = digest(
            code_digest(),
            request.language,
            request.now.isoformat(),
            *(r.key for r in records),
            *(r.id for r in results.reviews),
        )
        publish(folder, results, key, language=request.language, progress=announce(writing, False))
        if facts is not None:
            write_whole(folder.root / FACTS, facts.encode())
    return results


def _inputs(request: Request, progress: Progress) -> Inputs:
    scanning = request.options.scan
    if not request.is_follow_up:
        return gather(request.paths, options=scanning, progress=progress)
    given = visits_in_order(request.paths, request.structures, options=scanning)
    return gather_visits(given, options=scanning, progress=progress)


def _tracked(findings: AllFindings, following: Following) -> AllFindings:
    """Give the same lesion the same identity at every visit."""
    if following.follow_up is None:
        return findings
    timeline = following.follow_up.timeline
    followed = [f for f in findings.visits if f.study_uid in timeline.study_uids]
    renamed = {f.study_uid: f for f in tracked(tuple(followed), timeline)}
    return replace(findings, visits=tuple(renamed.get(f.study_uid, f) for f in findings.visits))


def _refuse_another_patient(folder: CaseFolder, inputs: Inputs) -> None:
    """Never replace one patient's case with another's."""
    held = folder.record().get("summary", {}).get("patient")
    if held is not None and held != inputs.patient.id:
        raise IdentityError(
            f"{folder.root} holds the case of patient '{held}', the files belong to "
            f"'{inputs.patient.id}'. Give another folder with --out."
        )
