"""Tasks for learning from preferences: of fixed length, with rewards that tell segments apart, some with goals of ours.

`import envs` registers every task of the catalogue as "prefrl/<Name>-v0". Importing it loads no simulator.
"""

from envs.catalogue import CATALOGUE, EQUIVALENT, goal, register_all

__all__ = ["CATALOGUE", "EQUIVALENT", "goal"]

register_all()
