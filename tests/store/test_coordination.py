"""Notices, predictions, leases and displays: what may change, and may be lost."""

from past_the_store import raw
from test_store import pairs

from prefrl.store.store import LabelStore


def test_a_notice_takes_the_place_of_the_last_one(store):
    assert store.notices.read("trainer") is None
    store.notices.post("trainer", {"step": 1})
    store.notices.post("trainer", {"step": 2})
    content, age = store.notices.read("trainer")
    assert content == {"step": 2} and 0 <= age < 5


def test_predictions_are_kept_by_question(store):
    store.notices.predict({1: {"probability": 0.9}, 2: {"probability": 0.1}})
    store.notices.predict({2: {"probability": 0.2}})
    assert store.notices.predictions([1, 2, 3]) == {1: {"probability": 0.9}, 2: {"probability": 0.2}}
    assert store.notices.predictions([]) == {}


def test_a_question_is_leased_to_one_session_at_a_time(store):
    ids = store.ask(pairs(3))
    assert store.leases.take("a", ids, 2, 60, now=0) == ids[:2]
    assert store.leases.take("b", ids, 3, 60, now=1) == ids[2:]
    assert store.leases.take("a", ids, 3, 60, now=2) == ids[:2]  # its own once more
    assert set(store.leases.held("b", now=3)) == set(ids[:2]) and not store.leases.held("b", now=100)
    store.leases.release("a", ids[:1])
    assert store.leases.take("b", ids, 1, 60, now=4) == ids[:1]


def test_a_lease_ends_unless_it_is_renewed_and_a_clock_set_back_ends_none_twice(store):
    ids = store.ask(pairs(2))
    store.leases.take("a", ids, 2, 60, now=0)
    store.leases.renew("a", ids[:1], 60, now=50)
    assert store.leases.take("b", ids, 2, 60, now=70) == ids[1:]
    store.leases.renew("a", ids, 60, now=71)  # the second is b's now
    assert set(store.leases.held("a", now=72)) == {ids[1]}
    assert store.leases.take("b", ids, 2, 60, now=-3600) == ids[1:]


def test_as_many_sessions_hold_a_question_as_should_still_judge_it(tmp_path):
    with LabelStore.open(tmp_path / "three", opinions=3) as store:
        [id] = store.ask(pairs(1))
        assert [store.leases.take(one, [id], 1, 60, now=0) for one in "abcd"] == [[id], [id], [id], []]
        store.answer([id], [1.0], labeller="ann", first_only=True)
        store.leases.release("a")
        assert store.leases.take("d", [id], 1, 60, now=1) == []  # two more are wanted, and two are at it
        store.leases.release("b")
        assert store.leases.take("d", [id], 1, 60, now=2) == [id]


def test_an_answered_or_closed_question_is_not_leased(store):
    ids = store.ask(pairs(3))
    store.answer(ids[:1], [1.0], labeller="ann")
    store.close_questions(ids[1:2], "stale")
    assert store.leases.take("a", ids, 3, 60, now=0) == ids[2:]
    assert store.leases.take("b", ids, 3, 60, now=0) == []
    store.withdraw(1, labeller="ann")
    assert store.leases.take("b", ids[:1], 1, 60, now=0) == ids[:1]


def test_displays_are_found_by_ticket(store):
    ids = store.ask(pairs(1))
    shown = {"ticket": "t-1", "query_id": ids[0], "labeller": "ann", "mirrored": True, "purpose": "repeat"}
    store.displays.add([shown])
    found = store.displays.find("t-1")
    assert {name: found[name] for name in shown} == shown and store.displays.find("t-2") is None
    assert store.displays.seen(ids[0], "ann") and not store.displays.seen(ids[0], "ben")


def test_a_store_without_these_tables_gets_them(store, tmp_path):
    store.ask(pairs(1))
    store.close()
    raw(tmp_path, *(f"DROP TABLE {table}" for table in ("displays", "holds", "notices", "predictions")))
    with LabelStore.open(tmp_path) as again:
        assert again.notices.read("trainer") is None and again.asked() == 1
