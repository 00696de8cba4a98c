"""Several people's word on one question: whom to believe, and when not to say anything."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.teachers import crowd as crowds
from prefrl.teachers.crowd import COMBINE, GRAIN, Judgements

QUESTIONS, PEOPLE = st.integers(1, 12), st.sampled_from(["ann", "ben", "eve", "joe"])
WORDS = st.sampled_from([1.0, 0.0, 0.5, float("nan")])
SAID = st.dictionaries(st.tuples(QUESTIONS, PEOPLE), WORDS, min_size=1, max_size=40)


@dataclass
class Labels:
    """What was made of judgements of pairs: by question how likely the first is better."""

    labels: dict[int, float]
    reliability: dict[str, float]


def of_pairs(combine):
    def combined(judgements: Judgements) -> Labels:
        found = combine(judgements)
        for label in found.labels.values():
            assert np.isnan(label).all() or label.sum() == 1
        return Labels({query: float(label[0]) for query, label in found.labels.items()}, found.reliability)

    return combined


by_reliability, by_mean = of_pairs(crowds.by_reliability), of_pairs(crowds.by_mean)


def chances(first: list[float]) -> np.ndarray:
    """(N,) -> (N, 2)"""
    return np.stack([np.array(first, float), 1 - np.array(first, float)], -1)


def judged(said: dict[tuple[int, str], float], truth: dict[int, float] | None = None) -> Judgements:
    query, labeller = [q for q, _ in said], [name for _, name in said]
    known = {q: chances([first])[0] for q, first in (truth or {}).items()}
    return Judgements(np.array(query), np.array(labeller), chances(list(said.values())), known)


def crowd(rng, errors: dict[str, float], questions: int = 300) -> tuple[Judgements, np.ndarray]:
    """What people with these error rates say about questions with random answers, and the answers."""
    truth = rng.integers(0, 2, questions).astype(float)
    said = {
        (q + 1, name): abs(truth[q] - (rng.random() < error))
        for q in range(questions)
        for name, error in errors.items()
    }
    return judged(said), truth


def same(one, other) -> bool:
    """A label near the border of two grains may fall to either side by a rounding error."""
    labels = [one.labels[q] - other.labels[q] for q in one.labels if not np.isnan(one.labels[q] - other.labels[q])]
    gone = [np.isnan(one.labels[q]) != np.isnan(other.labels[q]) for q in one.labels]
    return one.labels.keys() == other.labels.keys() and not any(gone) and np.abs(labels).max(initial=0) < 1.01 * GRAIN


@given(SAID, st.randoms(use_true_random=False))
def test_the_order_of_judgements_changes_nothing(said, random):
    shuffled = list(said.items())
    random.shuffle(shuffled)
    one, other = by_reliability(judged(said)), by_reliability(judged(dict(shuffled)))
    assert same(one, other)
    assert one.reliability == pytest.approx(other.reliability, abs=1e-6)


@given(SAID)
def test_names_and_numbers_change_nothing(said):
    names = {"ann": "zoe", "ben": "yan", "eve": "xia", "joe": "abe"}
    renamed = {(100 - query, names[name]): word for (query, name), word in said.items()}
    one, other = by_reliability(judged(said)), by_reliability(judged(renamed))
    assert {100 - q: label for q, label in one.labels.items()} == pytest.approx(
        other.labels, abs=1.01 * GRAIN, nan_ok=True
    )
    assert {names[n]: share for n, share in one.reliability.items()} == pytest.approx(other.reliability, abs=1e-6)


@given(SAID)
def test_mirrored_questions_get_mirrored_labels(said):
    turned = by_reliability(judged({key: 1 - word for key, word in said.items()})).labels
    labels = by_reliability(judged(said)).labels
    assert {q: 1 - label for q, label in turned.items()} == pytest.approx(labels, abs=1.01 * GRAIN, nan_ok=True)


@given(SAID)
@settings(max_examples=50)
def test_labels_are_probabilities_and_nobody_elses_questions_get_one(said):
    for combine, _ in COMBINE.values():
        labels = of_pairs(combine)(judged(said)).labels if combine else {}
        assert all(np.isnan(label) or 0 <= label <= 1 for label in labels.values())
        assert set(labels) <= {query for query, _ in said}


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]))
@settings(max_examples=25)
def test_where_all_are_alike_the_label_is_the_majoritys(seed, people):
    """Each answers each question, and each is wrong on as many: nobody's word weighs more."""
    rng = np.random.default_rng(seed)
    names, truth = [f"p{k}" for k in range(people)], rng.integers(0, 2, 20)
    said = {
        (20 * turn + q + 1, names[(who + turn) % people]): float(truth[q] != (who in wrong))
        for q, wrong in enumerate([set(rng.permutation(people)[: rng.integers(0, people + 1)]) for _ in range(20)])
        for turn in range(people)  # the same pattern of errors goes round, so that all err alike
        for who in range(people)
    }
    found = by_reliability(judged(said))
    assert np.ptp(list(found.reliability.values())) < 1e-9
    for query, label in found.labels.items():
        votes = Counter(word for (asked, _), word in said.items() if asked == query)
        assert (label > 0.5) == (votes[1.0] > votes[0.0])


def test_one_perfect_labeller_outweighs_two_who_often_err():
    judgements, truth = crowd(np.random.default_rng(0), {"perfect": 0.0, "errs": 0.35, "errs too": 0.35}, 600)
    found = by_reliability(judgements)
    assert found.reliability["perfect"] > 0.93 and found.reliability["errs"] == pytest.approx(0.65, abs=0.07)
    assert error(found.labels, truth) < 0.02 and error(by_mean(judgements).labels, truth) > 0.1


def test_of_one_who_knows_and_two_who_guess_only_known_answers_tell_which_is_which():
    """Each agrees with each on half of the questions, whoever of them knows."""
    judgements, truth = crowd(np.random.default_rng(0), {"knows": 0.0, "guesses": 0.5, "guesses too": 0.5})
    known = replace(judgements, truth={q + 1: chances([truth[q]])[0] for q in range(40)})
    found = by_reliability(known)
    assert found.reliability["knows"] > 0.97 and found.reliability["guesses"] == pytest.approx(0.5, abs=0.07)
    assert error(found.labels, truth) == 0 and by_reliability(judgements).reliability["knows"] < 0.9


def test_who_is_always_wrong_is_as_good_as_right():
    judgements, truth = crowd(np.random.default_rng(1), {"ann": 0.1, "ben": 0.1, "contrary": 1.0})
    found = by_reliability(judgements)
    wrong = {
        how: error(combine(judgements).labels, truth) for how, combine in (("ours", by_reliability), ("all", by_mean))
    }
    assert found.reliability["contrary"] < 0.1 and wrong["ours"] < 0.03 and wrong["all"] > 0.15


def error(labels: dict[int, float], truth: np.ndarray) -> float:
    """Share of wrong sides; a label in the middle is half wrong."""
    told = np.array([labels[q + 1] for q in range(len(truth))])
    return float(np.where(told == 0.5, 0.5, (told > 0.5) != (truth == 1)).mean())


def test_dawid_and_skene_beat_the_majority_where_few_judge_each_question():
    """300 questions, eight people from .95 to adversarial, three words on each; 20 draws. Seen: .89 against .72."""
    rates = [0.95, 0.9, 0.9, 0.8, 0.7, 0.6, 0.5, 0.2]
    right = {"ours": [], "majority": []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth, said = rng.integers(0, 2, 300).astype(float), {}
        for q in range(300):
            for who in rng.permutation(8)[:3]:
                said[q + 1, f"p{who}"] = abs(truth[q] - (rng.random() >= rates[who]))
        judgements = judged(said)
        found = by_reliability(judgements)
        right["ours"].append(1 - error(found.labels, truth))
        right["majority"].append(1 - error(by_mean(judgements).labels, truth))
        assert np.corrcoef([found.reliability[f"p{k}"] for k in range(8)], rates)[0, 1] > 0.9
    assert np.mean(right["ours"]) > np.mean(right["majority"]) + 0.08


def test_a_known_answer_decides_whom_to_believe():
    """Two who contradict each other everywhere are equals, until something is known."""
    said = {(q, name): word for q in range(1, 21) for name, word in (("ann", 1.0), ("ben", 0.0))}
    assert set(by_reliability(judged(said)).labels.values()) == {0.5}
    told = by_reliability(judged(said, {q: 1.0 for q in range(1, 11)}))
    assert told.labels[20] > 0.9 and told.reliability["ann"] > 0.9 > 0.3 > told.reliability["ben"]
    assert told.labels[1] == 1.0  # what is known is no matter of opinion


def test_ties_say_that_segments_are_alike_and_nothing_about_the_side():
    agreed = {(q, name): 1.0 for q in range(1, 41) for name in ("ann", "ben", "eve")}
    labels = by_reliability(
        judged(agreed | {(50, "ann"): 0.5, (50, "ben"): 0.5, (51, "ann"): 1.0, (51, "ben"): 0.5})
    ).labels
    assert labels[50] == 0.5 and labels[51] == pytest.approx(0.75, abs=0.05)


def test_the_word_of_somebody_who_guesses_is_none():
    """Not a tie: nothing is known about the pair, so nothing is to be learned from it."""
    judgements, _ = crowd(np.random.default_rng(3), {"ann": 0.05, "ben": 0.05, "guesses": 0.5}, 2000)
    alone = {(3000, "guesses"): 1.0, (3001, "ann"): 1.0, (3002, "ann"): float("nan")}
    both = dict(zip(zip(judgements.query, judgements.labeller, strict=True), judgements.chances[:, 0], strict=True))
    labels = by_reliability(judged({(int(q), str(n)): w for (q, n), w in both.items()} | alone)).labels
    assert np.isnan(labels[3000]) and labels[3001] == pytest.approx(0.95) and np.isnan(labels[3002])


def test_nothing_can_be_compared_where_nobody_shares_a_question():
    assert not judged({(1, "ann"): 1.0, (2, "ben"): 0.0}).comparable
    assert not judged({(1, "ann"): 1.0, (2, "ann"): 0.0}, {1: 1.0}).comparable  # one person is believed
    assert judged({(1, "ann"): 1.0, (1, "ben"): 0.0}).comparable
    assert judged({(1, "ann"): 1.0, (2, "ben"): 0.0}, {2: 1.0}).comparable


def test_the_mean_counts_heads():
    labels = by_mean(judged({(1, "ann"): 1.0, (1, "ben"): 1.0, (1, "eve"): 0.0, (2, "ann"): float("nan")})).labels
    assert labels[1] == pytest.approx(0.65) and np.isnan(labels[2])


def test_of_three_outcomes_the_one_that_reliable_people_name_is_the_label():
    """Four answer 400 questions with three outcomes, wrong ones fall on the others alike; one guesses."""
    rng, rates = np.random.default_rng(0), {"ann": 0.9, "ben": 0.8, "eve": 0.6, "guesses": 1 / 3}
    truth = rng.integers(0, 3, 400)
    query, labeller = np.repeat(np.arange(1, 401), 4), np.tile(list(rates), 400)
    wrong = (truth[:, None] + rng.integers(1, 3, (400, 4))) % 3
    said = np.where(rng.random((400, 4)) < list(rates.values()), truth[:, None], wrong)
    judgements = Judgements(query, labeller, np.eye(3)[said.ravel()])
    right = {}
    for combine in (crowds.by_reliability, crowds.by_mean):
        found = combine(judgements)
        labels = np.array([found.labels[q] for q in range(1, 401)])
        assert labels.sum(-1) == pytest.approx(np.ones(400)) and labels.min() >= 0
        right[combine] = (labels.argmax(-1) == truth).mean()
    reliability = crowds.by_reliability(judgements).reliability
    assert reliability == pytest.approx(rates, abs=0.07)
    assert right[crowds.by_reliability] > right[crowds.by_mean] + 0.03


def test_a_tie_of_three_says_nothing_about_the_outcome():
    names, word = np.array(["ann", "ben"] * 20), np.tile([[1.0, 0.0, 0.0]], (40, 1))
    agreed = Judgements(np.repeat(np.arange(20), 2), names, word)
    more = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    both = Judgements(np.append(agreed.query, [30, 30]), np.append(names, ["ann", "ben"]), np.concatenate([word, more]))
    label = crowds.by_reliability(both).labels[30]
    assert label.argmax() == 0 and label[1] == pytest.approx(label[2], abs=1.01 * GRAIN)
    assert label[0] == pytest.approx((1 + 1 / 3) / 2, abs=0.06)
