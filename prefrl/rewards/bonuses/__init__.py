"""Bonuses that are paid beside the learned reward, by name."""

from collections.abc import Callable

from prefrl.config.settings import RewardConfig
from prefrl.rewards.bonuses.base import Bonus

BONUSES: dict[str, tuple[Callable[[RewardConfig], Bonus | None], str]] = {
    "none": (lambda settings: None, "the learned reward alone"),
}
"""Name -> how it is made, and a line for `prefrl list`. One of your own: BONUSES["mine"] = (Mine, "what it is")."""

__all__ = ["BONUSES", "Bonus"]
