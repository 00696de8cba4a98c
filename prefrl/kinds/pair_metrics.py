"""How well predicted preferences agree with the answers a teacher gave: decisions, probabilities and calibration.

A preference is the probability that the first segment is the better one. A decisive answer prefers one side (not .5),
a tie is exactly .5, a skip is NaN and counts only as a skip. What has no value (no decisive pair, say) is NaN, never 0.
"""

from __future__ import annotations

import numpy as np

from prefrl.core.errors import NonFiniteError

EQUAL = 0.5
BINS = 10  # of the calibration error
CERTAIN = 1e-7
"""Log loss keeps probabilities this far from 0 and 1: a certain and wrong prediction costs 16.1 nats, not infinity."""


def preference_metrics(predicted: np.ndarray, preferences: np.ndarray) -> dict[str, float]:
    """Compare predictions with answers. predicted: (N,) P(first better), preferences: (N,) answers in [0, 1] or NaN.

    tie_share, skip_share: of all pairs, so that with the decisive ones they sum to 1.
    accuracy, precision, recall, f1: of decisive pairs only, see `decision_metrics`.
    three_way_accuracy: of answered pairs; prediction and answer both rounded to the nearest of second, equal, first.
    brier, log_loss (nats), calibration_error: of answered pairs, a tie counts as an answer of .5.
    """
    predicted, preferences = _checked(predicted, preferences)
    answered = ~np.isnan(preferences)
    decisive = answered & (preferences != EQUAL)
    return {
        "pairs": float(len(preferences)),
        "tie_share": _mean(answered & ~decisive),
        "skip_share": _mean(~answered),
        **decision_metrics(predicted[decisive], preferences[decisive]),
        **probability_metrics(predicted[answered], preferences[answered]),
    }


def decision_metrics(predicted: np.ndarray, preferences: np.ndarray) -> dict[str, float]:
    """Metrics of the yes-no statement "the first is better". predicted: (N,), preferences: (N,) decisive, none .5.

    A prediction of exactly .5 is half a yes and half a no, so that an undecided model scores an accuracy of .5 and the
    metrics do not depend on which side a coin would have fallen. Ties among the answers are left out by the caller: no
    choice of a side is right or wrong there. f1 = 2 hits / (predicted + true).
    """
    predicted_first = np.heaviside(predicted - EQUAL, 0.5)
    first = (preferences > EQUAL).astype(float)
    hits = float(predicted_first @ first)
    return {
        "accuracy": _mean(1 - np.abs(predicted_first - first)),
        "precision": _ratio(hits, predicted_first.sum()),
        "recall": _ratio(hits, first.sum()),
        "f1": _ratio(2 * hits, predicted_first.sum() + first.sum()),
    }


def probability_metrics(predicted: np.ndarray, preferences: np.ndarray) -> dict[str, float]:
    """Metrics of the probabilities themselves, for answers without skips. predicted, preferences: (N,) in [0, 1]

    Brier 1950 (half of its two-class form); expected calibration error with equal bins (Guo et al. 2017, eq. 3).
    """
    clipped = np.clip(predicted, CERTAIN, 1 - CERTAIN)
    nats = preferences * np.log(clipped) + (1 - preferences) * np.log1p(-clipped)
    return {
        "three_way_accuracy": _mean(np.rint(2 * predicted) == np.rint(2 * preferences)),
        "brier": _mean((predicted - preferences) ** 2),
        "log_loss": _mean(-nats),
        "calibration_error": _calibration_error(predicted, preferences),
    }


def _calibration_error(predicted: np.ndarray, preferences: np.ndarray) -> float:
    """Mean gap between predictions and answers, by bins of the prediction that hold their lower edge, the last one both.

    Bins span all of [0, 1], not the confidence max(p, 1 - p): a model that favours the first place is then seen to.
    """
    bin_of = np.minimum((predicted * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bin_of, predicted - preferences, BINS)  # times the answers in the bin
    return _ratio(np.abs(gaps).sum(), len(predicted))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan


def _checked(predicted: np.ndarray, preferences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, preferences = np.asarray(predicted, float), np.asarray(preferences, float)
    if predicted.ndim != 1 or predicted.shape != preferences.shape:
        raise ValueError(
            "predictions and preferences must be two arrays of one shape (N,),"
            f" got {predicted.shape} and {preferences.shape}"
        )
    if not np.isfinite(predicted).all():
        broken = np.flatnonzero(~np.isfinite(predicted))
        raise NonFiniteError(
            f"{len(broken)} of {len(predicted)} predicted preferences are not finite, the first at pair {broken[0]};"
            " look at the reward network's loss and inputs"
        )
    for name, values in (("predicted", predicted), ("answered", preferences)):
        wrong = values[(values < 0) | (values > 1)]
        if len(wrong):
            raise ValueError(
                f"{name} preferences are probabilities in [0, 1], got {wrong[0]:g}; pass logits through a sigmoid"
            )
    return predicted, preferences
