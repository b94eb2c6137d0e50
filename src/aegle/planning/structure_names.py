"""Which delineated structure a name stands for, whatever its spelling.

Names follow AAPM TG-263 more or less: ``Parotid_L``, ``parotid_left`` and ``Left Parotid`` are
one organ. Only spellings are compared; what an abbreviation stands for is not guessed.
"""

import re
from collections.abc import Iterable, Sequence

from aegle.domain.codes import body_part

_SIDES = {"l": "left", "lt": "left", "left": "left", "r": "right", "rt": "right", "right": "right"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_a-zA-Z0-9]+|[^\s\w.,-]+")
"""Letters, numbers, letters of other scripts, signs that mean something (``PTV+5``)."""


def matching_name(name: str, there: Sequence[str]) -> str | None:
    """Return which of the names that are there is meant by a name; None if none is.

    Args:
        name: As someone wrote it.
        there: Names of structures. An equal one goes before one of equal letters, that before
            one that means the same body part. Of several equally good ones the first counts.
    """
    if name in there:
        return name
    for same in (_spelling, body_part):
        wanted = same(name)
        found = next(
            (other for other in there if wanted is not None and same(other) == wanted), None
        )
        if found is not None:
            return found
    return None


def _spelling(name: str) -> tuple[str, str]:
    """Return the side and the other words of a name, joined."""
    words = [word.lower() for word in _WORD.findall(name)]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = _joined(word for word in words if word not in _SIDES)
    # A name that is nothing but a side, or bears two, is taken as it stands.
    if len(sides) != 1 or not rest:
        return "", _joined(words)
    return sides[0], rest


def _joined(words: Iterable[str]) -> str:
    """Join words; two numbers stay apart."""
    return re.sub(r"(?<=\d) (?=\d)", ",", " ".join(words)).replace(" ", "")
