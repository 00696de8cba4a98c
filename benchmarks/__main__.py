"""All benchmarks as one table: `python -m benchmarks`, about five minutes."""

from benchmarks import memory, price
from benchmarks.table import show

show([*price.rows(), *memory.rows()])
