"""Speed and memory, always as ratios in one run. `python -m benchmarks` prints one table."""
