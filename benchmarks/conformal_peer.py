"""MAPIE's prediction sets, made in its own environment.

``python conformal_peer.py FOLDER ALPHA`` reads ``cases.npz`` and writes ``sets.npz``.
"""

import sys
from pathlib import Path

import numpy as np
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, shares, _):
        self.classes_ = np.arange(shares.shape[1])
        return self

    def predict_proba(self, shares):
        return shares

    def predict(self, shares):
        return shares.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


def main() -> None:
    folder, alpha = Path(sys.argv[1]), float(sys.argv[2])
    cases = np.load(folder / "cases.npz")
    shares, truth = cases["probabilities"], cases["truth"]
    half = len(truth) // 2
    kinds = {
        "lac": ("lac", None),
        "aps randomised": ("aps", "randomized"),
        "aps with last": ("aps", True),
        "aps without last": ("aps", False),
    }
    found = {}
    for name, (score, last) in kinds.items():
        sets = SplitConformalClassifier(
            Given().fit(shares[:half], truth[:half]),
            confidence_level=1 - alpha,
            conformity_score=score,
            prefit=True,
            random_state=0,
        )
        sets.conformalize(shares[:half], truth[:half])
        more = {} if last is None else {"include_last_label": last}
        found[name] = sets.predict_set(shares[half:], conformity_score_params=more)[1][:, :, 0]
    np.savez(folder / "sets.npz", **found)


if __name__ == "__main__":
    main()
