"""The picture and the numbers of a course."""

import json

from aegle.learning.assignment import Epoch
from aegle.learning.loss_picture import draw, write_course, write_picture


def course(validation=(0.9, 0.6, 0.8)):
    return [
        Epoch(number=n, training_loss=1 / n, validation_loss=loss, rate=0.1 * n, seconds=2.0)
        for n, loss in enumerate(validation, start=1)
    ]


def lines(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_both_losses_and_the_rate_are_drawn():
    losses, rates = draw(course(), best=2).axes

    found = lines(losses)
    assert found["training"] == [1, 1 / 2, 1 / 3]
    assert found["validation"] == [0.9, 0.6, 0.8]
    assert losses.lines[-1].get_xdata() == [2, 2]
    assert list(lines(rates).values()) == [[0.1, 0.2, 0.1 * 3]]


def test_without_validation_one_loss_is_drawn():
    losses, _ = draw(course((None, None)), best=2).axes

    assert list(lines(losses)) == ["training"]


def test_the_same_course_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_picture(course(), 2, tmp_path / name)

    content = (tmp_path / "a" / "loss.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "b" / "loss.png").read_bytes()


def test_the_course_is_kept_as_json(tmp_path):
    write_course(course(), 2, tmp_path)

    content = json.loads((tmp_path / "course.json").read_text())
    assert content["best"] == 2
    assert content["epochs"][1] == {
        "number": 2,
        "training_loss": 0.5,
        "validation_loss": 0.6,
        "rate": 0.2,
        "seconds": 2.0,
    }
