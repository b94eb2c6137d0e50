"""Stages are checked before anything runs, and finished ones are not repeated."""

import pytest
from pydantic.dataclasses import dataclass as options_class

from aegle.domain.case import Following, Planning
from aegle.domain.errors import OptionError, WorkflowError
from aegle.domain.text import Text
from aegle.domain.worklist import Worklist
from aegle.workflow import case_folder
from aegle.workflow.pipeline import Pipeline
from aegle.workflow.stage import Stage


@options_class(frozen=True)
class Wording:
    word: str = "no"


class Calls(list):
    def plan(self, worklist: Worklist, *, options: Wording) -> Planning:
        self.append("plan")
        return Planning(plan=None, reason=Text(options.word))

    def follow(self, planning: Planning) -> Following:
        self.append("follow")
        return Following(follow_up=None, reason=Text("after {why}", {"why": str(planning.reason)}))

    def pipeline(self, word="no"):
        stages = (
            Stage.of("plan", self.plan, Wording(word)),
            Stage.of("follow", self.follow),
        )
        return Pipeline((Worklist,), stages)


@pytest.fixture
def calls():
    return Calls()


def run(pipeline, root, content="1"):
    with case_folder.opened(root) as folder:
        return pipeline.run(folder, {Worklist: (Worklist(()), content)})


def test_every_stage_runs_once_in_order(calls, tmp_path):
    results, records = run(calls.pipeline(), tmp_path / "case")

    assert calls == ["plan", "follow"]
    assert str(results[Following].reason) == "after no"
    assert [r.name for r in records] == ["plan", "follow"]
    assert records[0].options == '{"word": "no"}'


def test_finished_stages_are_not_repeated(calls, tmp_path):
    run(calls.pipeline(), tmp_path / "case")
    calls.clear()

    results, _ = run(calls.pipeline(), tmp_path / "case")

    assert calls == []
    assert str(results[Following].reason) == "after no"


def test_other_options_repeat_the_stage_and_what_builds_on_it(calls, tmp_path):
    run(calls.pipeline(), tmp_path / "case")
    calls.clear()

    results, _ = run(calls.pipeline("yes"), tmp_path / "case")

    assert calls == ["plan", "follow"]
    assert str(results[Following].reason) == "after yes"


def test_other_input_with_the_same_outcome_repeats_only_what_saw_it(calls, tmp_path):
    run(calls.pipeline(), tmp_path / "case", content="1")
    calls.clear()

    run(calls.pipeline(), tmp_path / "case", content="2")

    assert calls == ["plan"]


def test_half_written_stage_is_cleared_away_and_made_again(calls, tmp_path):
    run(calls.pipeline(), tmp_path / "case")
    stages = tmp_path / "case" / "stages"
    (stages / "follow").rename(stages / ".part-follow")
    calls.clear()

    run(calls.pipeline(), tmp_path / "case")

    assert calls == ["follow"]
    assert not list(stages.glob(".part-*"))


@pytest.mark.parametrize("name", [".part-report.html", "..part-report.html.k3x_9", ".part-dicom"])
def test_what_a_killed_writer_left_is_cleared_away(calls, tmp_path, name):
    run(calls.pipeline(), tmp_path / "case")
    (tmp_path / "case" / name).write_text("half")
    (tmp_path / "case" / "report.html").write_text("whole")

    run(calls.pipeline(), tmp_path / "case")

    assert sorted(p.name for p in (tmp_path / "case").iterdir()) == ["report.html", "stages"]


def test_missing_need_is_named_before_anything_runs(calls):
    with pytest.raises(WorkflowError, match="'follow' needs Planning, which nothing before"):
        Pipeline((Worklist,), (Stage.of("follow", calls.follow),))


def test_same_gift_twice_is_refused(calls):
    twice = Stage.of("plan", calls.plan, Wording())

    with pytest.raises(WorkflowError, match="gives Planning again, after 'plan'"):
        Pipeline((Worklist,), (twice, twice))


def test_stage_without_result_type_is_refused():
    def nothing(worklist: Worklist):
        return worklist

    with pytest.raises(WorkflowError, match="does not say what it gives"):
        Stage.of("nothing", nothing)


def test_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(OptionError, match="not an Aegle case"), case_folder.opened(tmp_path):
        pass

    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_case_is_held_by_one_run_at_a_time(tmp_path):
    with (
        case_folder.opened(tmp_path / "case"),
        pytest.raises(WorkflowError, match="Another run"),
        case_folder.opened(tmp_path / "case"),
    ):
        pass
