"""Inputs are listed by group, each with a digest that can be checked; the queue is the latest's."""

import hashlib
from dataclasses import replace

from aegle.report import closing, document, html, pdf, summary
from aegle.report.blocks import Folded, Table
from aegle.report.language import words


def with_inputs(case, *inputs):
    return replace(case, provenance=replace(case.provenance, inputs=inputs))


def many(case):
    slices = tuple((f"ct/{n:03d}.dcm", f"{n:064x}") for n in range(120))
    return with_inputs(case, *slices, ("plan/rtstruct.dcm", "ab" * 32))


def test_combined_digest_is_that_of_the_list_of_sha256sum():
    members = [("b.dcm", "22" * 32), ("a.dcm", "11" * 32)]
    listed = f"{'11' * 32}  a.dcm\n{'22' * 32}  b.dcm\n"

    assert closing.combined_digest(members) == hashlib.sha256(listed.encode()).hexdigest()


def test_files_of_a_folder_share_one_line(case):
    blocks = closing.limits(many(case), words("en")).blocks
    table = next(b for b in blocks if isinstance(b, Table) and b.caption == "Inputs")
    folded = next(b for b in blocks if isinstance(b, Folded))

    assert [row[0].text for row in table.rows] == [
        "120 files: ct/000.dcm … ct/119.dcm",
        "plan/rtstruct.dcm",
    ]
    assert table.rows[1][1].text == "ab" * 32
    assert len(folded.table.rows) == 121


def test_every_file_unfolds_on_the_screen_and_not_on_paper(case):
    report = document._build(many(case), words("en"))
    page = html.render(report)

    assert "<details><summary>Every file</summary>" in page
    assert f"{57:064x}" in page
    assert b"%PDF" in pdf.render(report)[:8]


def test_single_files_keep_their_own_digest(case):
    blocks = closing.limits(with_inputs(case, ("a.dcm", "11" * 32)), words("en")).blocks

    assert not any(isinstance(block, Folded) for block in blocks)


def test_stages_are_named_in_chinese(case):
    names = ("images", "structures", "findings", "suggestions", "plan", "follow-up", "worklist")
    stage = case.provenance.stages[0]
    stages = tuple(replace(stage, name=name) for name in names)
    named = replace(case, provenance=replace(case.provenance, stages=stages))
    tables = [b for b in closing.limits(named, words("zh")).blocks if isinstance(b, Table)]

    assert not any(row[0].text.isascii() for row in tables[0].rows)


def test_summary_tells_the_place_of_the_latest_examination(case):
    items = tuple(replace(item, position=4 - item.position) for item in case.worklist.items)
    later = replace(case, worklist=replace(case.worklist, items=items))

    assert summary.tiles(case, words("en"))[3].value == "1 of 3"
    assert summary.tiles(later, words("en"))[3].value == "3 of 3"
    assert summary.tiles(later, words("en"))[3].details[0] == "2026-06-15"
