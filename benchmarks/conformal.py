"""Prediction sets beside MAPIE: the same probabilities of the same cases, cell by cell.

20,000 made cases of 20 classes of which a fifth is hard; half calibrate. MAPIE lives in an
environment of its own under ``benchmarks/.work``, made on the first run. LAC and randomised APS
(with MAPIE's random numbers) have to be equal in every cell. APS without randomisation is another
definition: MAPIE calibrates it with randomised scores (Romano 2020, algorithm 1) and then keeps or
drops the last class whole (``include_last_label``), ours calibrates what it uses. Rebuilt from our
scores and limits, MAPIE's sets have to come out too.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.line import Line
from benchmarks.peers import environment

MAPIE = "MAPIE==1.6.0"
NEEDS = (MAPIE, "numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1")
CASES, CLASSES, ALPHA = 20_000, 20, 0.1
KINDS = ("lac", "aps randomised", "aps with last", "aps without last")
"""As the peer names them."""
TOLERANCE = 1e-12
"""Of sums of probabilities."""


def sets() -> Iterator[Line]:
    """Measure sizes and coverage, and count the cells in which sets differ."""
    import numpy as np

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        probabilities, truth, draws = _made()
        np.savez(folder / "cases.npz", probabilities=probabilities, truth=truth)
        python = environment("mapie", NEEDS)
        peer = str(Path(__file__).with_name("conformal_peer.py"))
        done = subprocess.run(
            [str(python), peer, str(folder), str(ALPHA)],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": ""},
        )
        if done.returncode:
            raise RuntimeError(f"MAPIE ended with {done.returncode}:\n{done.stderr}")
        theirs = np.load(folder / "sets.npz")
        for kind, ours in _ours(probabilities, truth, draws).items():
            name = kind.removesuffix(", its own definition")
            yield from _lines(kind, ours, theirs[name], truth[CASES // 2 :])


def _made():
    """Return probabilities that are right on average, the truth, and MAPIE's random numbers."""
    import numpy as np

    random = np.random.default_rng(0)
    sharpness = np.where(random.random(CASES) < 0.2, 0.6, 2.2)[:, None]
    logits = random.normal(size=(CASES, CLASSES)) * sharpness
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < random.random((CASES, 1))).sum(axis=1).clip(0, CLASSES - 1)
    # MAPIE draws anew from the same seed for calibration and for prediction.
    return shares, truth, np.random.RandomState(0).uniform(size=(CASES // 2, 1))


def _ours(probabilities, truth, draws):
    """Return our sets of the second half, by the peer's names; APS also as MAPIE defines it."""
    import numpy as np

    from aegle.diagnosis.conformal import ConformalOptions, calibrate, scores_of

    half = CASES // 2
    classes = tuple(map(str, range(CLASSES)))
    before, after = probabilities[:half], probabilities[half:]

    def made(options, randomness=(None, None)):
        limits = calibrate(
            before, truth[:half], classes=classes, options=options, randomness=randomness[0]
        )
        return limits, limits.sets(after, randomness=randomness[1])

    randomised = ConformalOptions(alpha=ALPHA, score="aps", randomised=True)
    plain = ConformalOptions(alpha=ALPHA, score="aps")
    limits, drawn = made(randomised, (_Given(draws), _Given(draws)))
    limit = limits.limits["all"].value
    # The classes whose sum stays below MAPIE's limit, and the one whose sum first reaches it.
    summed = scores_of(after, plain, None)
    first = np.where(summed >= limit - TOLERANCE, summed, np.inf).min(axis=1, keepdims=True)
    within = summed <= limit + TOLERANCE
    return {
        "lac": made(ConformalOptions(alpha=ALPHA))[1],
        "aps randomised": drawn,
        "aps with last": made(plain)[1],
        "aps with last, its own definition": within | (summed <= first),
        "aps without last, its own definition": within | (summed == summed.min(1, keepdims=True)),
    }


class _Given:
    """A generator that gives the numbers of another."""

    def __init__(self, draws):
        self.draws = draws

    def uniform(self, size):
        """Return the numbers."""
        if tuple(size) != self.draws.shape:
            raise RuntimeError(f"{size} numbers are asked for, {self.draws.shape} are given.")
        return self.draws


def _lines(kind, ours, theirs, truth) -> Iterator[Line]:
    import numpy as np

    rows = np.arange(truth.size)
    what = f"{kind}, {CASES // 2} cases, {CLASSES} classes"
    for name, value in (
        ("mean size", lambda found: float(found.sum(axis=1).mean())),
        ("coverage", lambda found: float(found[rows, truth].mean())),
    ):
        yield Line(
            what=f"{what}, {name}", ours=value(ours), unit="", peer=MAPIE, theirs=value(theirs)
        )
    differ = int((ours != theirs).sum())
    allowed = "differ by definition" if kind == "aps with last" else "allowed: 0"
    yield Line(
        what=f"{what}, cells that differ ({allowed})",
        ours=differ,
        unit="",
        peer="cells in all",
        theirs=ours.size,
    )
    if differ and kind != "aps with last":
        raise RuntimeError(f"{kind}: {differ} cells differ from MAPIE's.")


if __name__ == "__main__":
    for line in sets():
        sys.stdout.write(f"{line.text}\n")
