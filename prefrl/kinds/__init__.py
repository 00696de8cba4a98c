"""Kinds of feedback. Each is one file: what a question shows, what an answer is, and what an answer teaches."""

from prefrl.core.errors import pick
from prefrl.kinds.base import Answer, Choice, Kind, Perceived, inverse
from prefrl.kinds.best import Best
from prefrl.kinds.pair import Pair

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (Pair(), Best())
}  # fmt: skip
"""Name -> the kind. A kind of your own: KINDS[mine.name] = mine."""


FIRST = next(iter(KINDS))
"""The kind of the first release: its questions and answers are named and stored as that one did."""


def kind_of(name: str) -> Kind:
    """The kind with this name. Raises UserError with the near match and the list."""
    return pick(KINDS, name, "kind of feedback")


__all__ = ["FIRST", "KINDS", "Answer", "Choice", "Kind", "Perceived", "inverse", "kind_of"]
