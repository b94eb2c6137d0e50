"""Units of laboratory values, in the part of UCUM that laboratories use.

A unit is a factor and powers of dimensions: ``mg/dL`` is 0.01 g/L, ``10*3/uL`` is 10⁹/L. Mass
and amount of substance turn into each other by the molar mass, amount and charge equivalents by
the valence; nothing else does. Degrees Celsius and Fahrenheit have an offset.

Source: Unified Code for Units of Measure, version 2.1 (ucum.org).
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from aegle.domain.errors import QuantityError

PREFIXES = MappingProxyType(
    {"k": 1e3, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
)
_LITRE = {"length": 3}
ATOMS = MappingProxyType(
    {
        "g": (1.0, {"mass": 1}),
        "mol": (1.0, {"amount": 1}),
        "eq": (1.0, {"equivalent": 1}),
        "L": (1e-3, _LITRE),
        "l": (1e-3, _LITRE),
        "m": (1.0, {"length": 1}),
        "s": (1.0, {"time": 1}),
        "min": (60.0, {"time": 1}),
        "h": (3600.0, {"time": 1}),
        "U": (1e-6 / 60, {"amount": 1, "time": -1}),
        "kat": (1.0, {"amount": 1, "time": -1}),
        "[iU]": (1.0, {"international": 1}),
        "m[Hg]": (1.0, {"mercury": 1}),
        "K": (1.0, {"temperature": 1}),
        "Cel": (1.0, {"temperature": 1}),
        "[degF]": (5 / 9, {"temperature": 1}),
        "%": (0.01, {}),
        "[pH]": (1.0, {"pH": 1}),
        "1": (1.0, {}),
    }
)
"""Factor to the dimension's own unit (g, mol, m, s ...) and its powers."""
UNPREFIXED = frozenset({"min", "h", "Cel", "[degF]", "%", "[pH]", "1"})
OFFSETS_K = MappingProxyType({"Cel": 273.15, "[degF]": 459.67 * 5 / 9, "K": 0.0})
SPELLINGS = (
    (re.compile(r"[µμ]"), "u"),
    (re.compile(r"\s+"), ""),
    (re.compile(r"^[x×*]?10(?:\^|\*\*|E|e)(?=\d)"), "10*"),
    (re.compile(r"^[x×](?=10\*)"), ""),
    (re.compile(r"mcg"), "ug"),
    (re.compile(r"mmHg"), "mm[Hg]"),
    (re.compile(r"°C$"), "Cel"),
    (re.compile(r"°F$"), "[degF]"),
    (re.compile(r"(?<![\[A-Za-z])(m|u|k)?IU(?!\])"), r"\1[iU]"),
    (re.compile(r"mEq"), "meq"),
    (re.compile(r"^pH$"), "[pH]"),
    (re.compile(r"/cc$"), "/mL"),
)
"""How laboratories write what UCUM writes otherwise."""
_POWER = re.compile(r"10\*(-?\d+)")
_TERM = re.compile(r"(?P<body>.*?[^\d+-])(?P<power>[+-]?\d+)?")


@dataclass(frozen=True)
class Unit:
    """A factor and powers of dimensions."""

    factor: float
    dimensions: tuple[tuple[str, int], ...]
    """By name; powers are not 0."""
    offset_k: float = 0.0
    """Added after the factor, for temperatures."""


@cache
def unit_of(text: str) -> Unit:
    """Read a unit.

    Args:
        text: UCUM, or one of the usual other spellings (``10^9/L``, ``µg/mL``, ``IU/L``).

    Raises:
        QuantityError: The unit is not in the part of UCUM that is known here.
    """
    plain = re.sub(r"\{[^{}]*\}", "", spelled(text))
    if plain in OFFSETS_K:
        factor, powers = ATOMS[plain]
        return Unit(factor, tuple(sorted(powers.items())), OFFSETS_K[plain])
    factor, powers = 1.0, Counter[str]()
    for sign, term in _terms(plain):
        size, of_term = _term(term, text)
        factor *= size**sign
        for dimension, power in of_term.items():
            powers[dimension] += sign * power
    return Unit(factor, tuple(sorted((name, power) for name, power in powers.items() if power)))


def spelled(text: str) -> str:
    """Return a unit as UCUM writes it, where another usual spelling was given."""
    for pattern, written in SPELLINGS:
        text = pattern.sub(written, text)
    return text


def convert(
    value: float, given: str, wanted: str, *, molar_mass: float = 0.0, valence: int = 0
) -> float:
    """Return a value in another unit.

    Args:
        value: In ``given``.
        given: Unit of the value.
        wanted: Unit of the result.
        molar_mass: Of the analyte [g/mol]; 0 where mass and amount do not turn into each other.
        valence: Charges per particle; 0 where equivalents have no meaning.

    Raises:
        QuantityError: A unit is unknown, or the two do not measure the same.
    """
    start, end = unit_of(given), unit_of(wanted)
    bridge = _bridge(start, end, molar_mass, valence)
    if bridge is None:
        raise QuantityError(
            f"'{given}' cannot be turned into '{wanted}': they measure different things. State the "
            "unit that the laboratory used."
        )
    return (value * start.factor * bridge + start.offset_k - end.offset_k) / end.factor


def _bridge(start: Unit, end: Unit, molar_mass: float, valence: int) -> float | None:
    """Return the factor between two dimensions; None if there is none."""
    have, want = Counter(dict(start.dimensions)), Counter(dict(end.dimensions))
    if have == want:
        return 1.0
    grams = {"mass": 1.0, "amount": molar_mass, "equivalent": molar_mass / max(valence, 1)}
    if valence and not molar_mass:
        grams = {"amount": 1.0, "equivalent": 1.0 / valence}
    sizes = {name: size for name, size in grams.items() if size}
    if not valence:
        sizes.pop("equivalent", None)
    for one in sizes:
        for other in sizes:
            moved = Counter(have)
            moved[one] -= 1
            moved[other] += 1
            if have[one] == 1 and +moved == +want and -moved == -want:
                return sizes[one] / sizes[other]
    return None


def _terms(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([./])", text)
    signs = [1] + [-1 if mark == "/" else 1 for mark in parts[1::2]]
    return [(sign, term) for sign, term in zip(signs, parts[::2], strict=True) if term]


def _term(term: str, text: str) -> tuple[float, dict[str, int]]:
    """Return the factor and the dimensions of one term."""
    if power := _POWER.fullmatch(term):
        return 10.0 ** int(power[1]), {}
    if term.isdigit():
        return float(term), {}
    found = _TERM.fullmatch(term)
    atom = _atom(found["body"]) if found else None
    if found is None or atom is None:
        raise QuantityError(
            f"The unit '{text}' is not known ('{term}'). Give it in UCUM, such as mg/dL, mmol/L "
            "or 10*9/L."
        )
    power_of = int(found["power"] or 1)
    return atom[0] ** power_of, {name: each * power_of for name, each in atom[1].items()}


def _atom(body: str) -> tuple[float, dict[str, int]] | None:
    """Return an atom with its prefix; None if it is unknown."""
    if body in ATOMS:
        return ATOMS[body]
    prefix, rest = body[:1], body[1:]
    if prefix in PREFIXES and rest in ATOMS and rest not in UNPREFIXED:
        factor, powers = ATOMS[rest]
        return PREFIXES[prefix] * factor, powers
    return None
