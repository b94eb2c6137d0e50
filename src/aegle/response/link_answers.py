"""What a person decided about lesions that the matching asked about.

An answer reads ``2: T3 = L5``: at the second visit (the baseline is the first) the track T3 is
the lesion L5. Several names on one side are joined by ``+``; ``gone`` on the right and ``new``
on the left say that there is nothing on that side.
"""

import re
from collections.abc import Mapping, Sequence

from aegle.domain.errors import OptionError
from aegle.response.hypotheses import Hypothesis, Spot

_FORM = re.compile(r"\s*(\d+)\s*:\s*([^=]+?)\s*=\s*([^=]+?)\s*")

Answer = tuple[tuple[str, ...], tuple[str, ...], str]
"""Tracks, lesions, and the answer as written."""


def read_answers(written: Sequence[str], visits: int) -> Mapping[int, tuple[Answer, ...]]:
    """Return the answers by visit, 0 being the baseline.

    Raises:
        OptionError: An answer cannot be read or is about no later visit.
    """
    answers: dict[int, tuple[Answer, ...]] = {}
    for text in written:
        found = _FORM.fullmatch(text)
        if found is None:
            raise OptionError(
                f"The answer '{text}' cannot be read; write it as '2: T3 = L5', with '+' between "
                "several names, 'gone' for no lesion and 'new' for no earlier one."
            )
        visit = int(found[1]) - 1
        if not 1 <= visit < visits:
            raise OptionError(
                f"The answer '{text}' is about visit {visit + 1}; later visits are 2 to {visits}."
            )
        earlier = _names(found[2], but="new")
        later = _names(found[3], but="gone")
        answers[visit] = (*answers.get(visit, ()), (earlier, later, text))
    return answers


def _names(text: str, *, but: str) -> tuple[str, ...]:
    return () if text == but else tuple(name.strip() for name in text.split("+"))


def answered(
    possible: Sequence[Hypothesis],
    answers: Sequence[Answer],
    earlier: Sequence[Spot],
    later: Sequence[Spot],
) -> tuple[Hypothesis, ...]:
    """Return what remains possible once a person has answered.

    Args:
        possible: All hypotheses.
        answers: The answers about this visit.
        earlier: Known lesions.
        later: Lesions of the visit.

    Raises:
        OptionError: An answer names what does not exist, or two answers contradict each other.
    """
    remaining = tuple(possible)
    used: set[tuple[str, int]] = set()
    for tracks, lesions, text in answers:
        chosen_earlier = _indices(tracks, earlier, text)
        chosen_later = _indices(lesions, later, text)
        own = {("earlier", i) for i in chosen_earlier} | {("later", j) for j in chosen_later}
        if own & used:
            raise OptionError(f"The answer '{text}' contradicts another one; remove one of them.")
        used |= own
        given = [h for h in remaining if (h.earlier, h.later) == (chosen_earlier, chosen_later)]
        free = [
            h
            for h in remaining
            if not set(h.earlier) & set(chosen_earlier) and not set(h.later) & set(chosen_later)
        ]
        # What a person saw need not have been thought of.
        remaining = (*free, *(given or [Hypothesis(chosen_earlier, chosen_later, 0.0)]))
    return remaining


def _indices(names: Sequence[str], spots: Sequence[Spot], text: str) -> tuple[int, ...]:
    known = {spot.name: index for index, spot in enumerate(spots)}
    if missing := sorted(set(names) - set(known)):
        listed = ", ".join(known) or "none"
        raise OptionError(
            f"The answer '{text}' names {', '.join(missing)}, which does not exist there; "
            f"known: {listed}."
        )
    return tuple(sorted(known[name] for name in names))
