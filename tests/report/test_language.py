"""Every word of a report has a Chinese translation, and names are shown as people write them."""

import ast
import re
import string
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import aegle
from aegle.diagnosis.laboratory.analytes import analytes, written
from aegle.diagnosis.patient_facts import CASE_RULES
from aegle.domain.codes import BODY_PARTS
from aegle.domain.errors import OptionError
from aegle.domain.finding import LesionKind
from aegle.domain.registration import Verdict
from aegle.domain.response import ResponseCategory
from aegle.domain.study import Patient
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus
from aegle.report import document
from aegle.report.follow import RESPONSE_NAMES
from aegle.report.language import Words, has_han, words
from aegle.report.planes import Plane

SOURCE = Path(aegle.__file__).parent
CHINESE = words("zh")
PAGES_OF_THEIR_OWN = {"learning", "evaluation"}


def labels_in_code():
    """Return what is passed to ``words(...)`` or ``told(...)`` as it stands in the code."""
    calls = (
        node
        for path in sorted((SOURCE / "report").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
    )
    return sorted(
        {
            call.args[0].value
            for call in calls
            if call.func.id in {"words", "told"} and isinstance(call.args[0], ast.Constant)
        }
    )


def constants_of(tree):
    """Return the sentences that a module keeps under a name."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def sentences_of(path):
    """Return the templates that a module gives to ``Text``."""
    tree = ast.parse(path.read_text("utf-8"))
    named = constants_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if node.func.id in {"Text", "_review"}:
                yield (
                    first.value
                    if isinstance(first, ast.Constant)
                    else named.get(getattr(first, "id", ""), "")
                )
        # A list of what was set aside takes the name of the file first, then the template.
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add":
            yield from (named.get(getattr(given, "id", ""), "") for given in node.args[1:2])


def sentences_of_rules():
    """Return what the rules of a report say, as their data files hold it."""
    for name in CASE_RULES:
        path = SOURCE / "diagnosis/rules" / f"{name.replace('-', '_')}.toml"
        rule = tomllib.loads(path.read_text("utf-8"))
        for kind in ("gaps", "contradictions", "excludes", "cautions"):
            yield from (gap["reason"] for gap in rule.get(kind, ()))
        for kind in ("rows", "modifiers", "suffixes"):
            yield from (row["text"] for row in rule.get(kind, ()))
        yield from rule["management"].values()


def sources_of_goals():
    """Return where the goals of plans come from, as their data files hold it."""
    text = (SOURCE / "planning/goals.toml").read_text("utf-8")
    yield from re.findall(r'^source = "(.*)"$', text, re.MULTILINE)
    for path in sorted((SOURCE / "planning/protocols").glob("*.toml")):
        yield from (goal["source"] for goal in tomllib.loads(path.read_text("utf-8"))["goal"])


def sentences_in_code():
    """Return the templates of all results of a case.

    What is said of data sets and models goes to pages of their own, which are English.
    """
    of_a_case = (p for p in SOURCE.rglob("*.py") if not PAGES_OF_THEIR_OWN & set(p.parts))
    found = {text for path in of_a_case for text in sentences_of(path)}
    return sorted({*found, *sentences_of_rules()} - {""})


def fields(template):
    return sorted(field for _, field, _, _ in string.Formatter().parse(template) if field)


@pytest.mark.parametrize("label", labels_in_code())
def test_label_has_a_chinese_translation(label):
    assert label in CHINESE.table


@pytest.mark.parametrize("sentence", sorted({*sentences_in_code(), *sources_of_goals()}))
def test_sentence_of_a_result_has_a_chinese_translation(sentence):
    assert sentence in CHINESE.table


def test_everything_shown_has_a_chinese_translation(case, nothing, monkeypatch):
    shown = set()
    plain = Words.__call__

    def recording(self, label, **values):
        shown.add(label)
        return plain(self, label, **values)

    monkeypatch.setattr(Words, "__call__", recording)
    for results in (case, nothing):
        document._build(results, CHINESE)

    assert shown - set(CHINESE.table) == set()


@pytest.mark.parametrize(
    "name",
    [
        *BODY_PARTS,
        *LesionKind,
        *LesionStatus,
        *Verdict,
        *(plane.name.lower() for plane in Plane),
        *"FMO",
        "unknown",
        "PTV",
    ],
    ids=str,
)
def test_name_has_a_chinese_translation(name):
    assert has_han(CHINESE.name(name))


@pytest.mark.parametrize("category", ResponseCategory)
def test_response_has_a_chinese_translation(category):
    assert has_han(CHINESE(RESPONSE_NAMES[category]))


@pytest.mark.parametrize(("english", "chinese"), CHINESE.table.items())
def test_translation_keeps_the_values(english, chinese):
    assert set(fields(chinese)) == set(fields(english))


def test_each_label_is_translated_once():
    text = (SOURCE / "report/translations/zh.toml").read_text("utf-8")
    keys = [key for section in tomllib.loads(text).values() for key in section]

    assert len(keys) == len(set(keys))


def test_chinese_is_punctuated_as_chinese():
    wrong = re.compile(r"[\u4e00-\u9fff][,;:()?]|[,;:()][\u4e00-\u9fff]")

    assert [v for v in CHINESE.table.values() if wrong.search(v)] == []


def test_unknown_sentences_stay_english_with_their_values():
    text = Text("odd thing of {size_mm:.1f} mm", {"size_mm": 3})

    assert CHINESE.text(text) == "odd thing of 3.0 mm"


def test_known_sentences_take_values_and_names_along():
    told = Words("zh", {"{kind} of {size_mm:.1f} mm": "{size_mm:.1f} mm 的{kind}", "mass": "肿块"})

    assert told.text(Text("{kind} of {size_mm:.1f} mm", {"kind": "mass", "size_mm": 3})) == (
        "3.0 mm 的肿块"
    )


def test_a_translation_that_asks_for_more_falls_back_to_english():
    told = Words("zh", {"size {a}": "大小 {b}"})

    assert told.text(Text("size {a}", {"a": 1})) == "size 1"


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "zh", "山田太郎"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "en", "Yamada, Tarou"),
        ("Doe^Jane^Q", "zh", "Doe, Jane Q"),
        ("王^小明", "en", "王小明"),
        ("=王^小明", "en", "王小明"),
        ("Evil\u202eeman", "en", "Evil eman"),
    ],
)
def test_person_is_named_in_the_readers_script(name, language, expected):
    assert words(language).person(Patient(id="1", name=name)) == expected


@pytest.mark.parametrize(
    ("key", "language", "expected"),
    [("17-A", "en", "17-A"), ("", "en", "no name"), ("", "zh", "未具姓名")],
)
def test_patient_without_a_name_goes_by_the_id(key, language, expected):
    assert words(language).person(Patient(id=key)) == expected


def test_sentence_inside_a_sentence_is_translated_too():
    told = Words(
        "zh", {"{file} is not used: {why}": "{file} 未使用：{why}", "It is {n}.": "为{n}。"}
    )

    sentence = Text("{file} is not used: {why}", {"file": "a", "why": Text("It is {n}.", {"n": 3})})

    assert told.text(sentence) == "a 未使用：为3。"
    assert str(sentence) == "a is not used: It is 3."


def test_negative_numbers_in_sentences_have_a_minus_sign():
    sentence = Text(
        "{percent:+.1f} % at {mean_hu:.0f} HU by {n}",
        {"percent": -28.8, "mean_hu": -600.0, "n": -3},
    )

    assert words("en").text(sentence) == "−28.8 % at −600 HU by −3"


def test_very_long_names_are_cut_off():
    patient = Patient(id="7" * 500, name="Long^" + "name" * 750)

    assert words("en").person(patient) == "Long, " + ("name" * 750)[:113] + "…"
    assert len(words("zh").person(replace(patient, name=""))) == 120
    assert len(words("zh").person(replace(patient, name="长" * 3000))) == 120


def test_structure_names_read_as_words():
    assert words("en").name("femoral_head_left") == "left femoral head"
    assert words("en").name("GTV_1") == "GTV_1"


def test_unknown_language_is_refused():
    with pytest.raises(OptionError, match="klingon"):
        words("klingon")


@pytest.mark.parametrize("name", sorted(analytes()))
def test_every_analyte_has_a_chinese_name(name):
    shown = CHINESE(written(name))

    assert has_han(shown) or shown == "NT-proBNP"
