"""Teachers: who answers the queries. A synthetic teacher is a function: queries (Q, K) -> Q answers, None to skip."""

from prefrl.teachers.oracle import Oracle
from prefrl.teachers.presets import TEACHERS, Teacher, make_teacher, recorded, synthetic

__all__ = ["TEACHERS", "Oracle", "Teacher", "make_teacher", "recorded", "synthetic"]
