"""Exceptions whose messages name the wrong value and the remedy."""

from __future__ import annotations

import difflib
import reprlib
import signal
from collections.abc import Iterable, Mapping
from typing import TypeVar

Part = TypeVar("Part")


class UserError(ValueError):
    """Something the user gave cannot work; the message says which value, where, and what to do. Shown without traceback."""

    code = 2  # exit status of the command line


class NonFiniteError(UserError):
    """An environment, a teacher or a network produced NaN or infinity."""


class NotEnoughSegments(UserError):
    """The recorder holds fewer segments within one episode than the questions need."""


class EnvironmentFailed(UserError):
    """An environment raised. Its own error is the cause, and is shown with its traceback."""

    code = 70


class StorageFull(UserError):
    """The disk takes no more: what was acknowledged is kept, the call that raised this stored nothing."""

    code = 75


class FolderBusy(UserError):
    """Another process trains in this run folder."""


class Stopped(BaseException):
    """Ctrl-C or a request to terminate; what was checkpointed is there, and `prefrl resume` goes on from it."""

    def __init__(self, number: int, folder: object):
        super().__init__(f"stopped by {signal.Signals(number).name}; go on with: prefrl resume {folder}")
        self.code = 128 + number


def brief(value: object) -> str:
    """A value for a message: never longer than a line, however large the value is."""
    return _BRIEF.repr(value)


def why(fault: BaseException) -> str:
    """The message of an error, of an OSError without its number and path."""
    return fault.strerror or str(fault) if isinstance(fault, OSError) else str(fault)


LISTED = 30  # names in a message, at most
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 1, 80, 80


def near(name: str, known: Iterable[str]) -> str:
    """The tail of an unknown-name error: the near match, then the list, or its nearest part if it is long."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=10, cutoff=0.5)
    close = close or difflib.get_close_matches(name.lower(), names, cutoff=0.5)
    shown = names if len(names) <= LISTED or not close else close
    listed = f" There are: {', '.join(shown)}" if shown else ""
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return (f"; did you mean {close[0]!r}?" if close else ".") + listed + more


def pick(table: Mapping[str, Part], name: str, what: str) -> Part:
    """Look a part up by name. Raises UserError with the near match and the whole list."""
    if name not in table:
        raise UserError(f"unknown {what} {name!r}{near(name, table)}")
    return table[name]
