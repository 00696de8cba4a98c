"""Teachers: who answers the queries. A synthetic teacher is a function: queries (Q, K) -> Q answers, None to skip."""

from prefrl.teachers.presets import TEACHERS, make_teacher, recorded, synthetic

__all__ = ["TEACHERS", "make_teacher", "recorded", "synthetic"]
