"""Many runs and what they say together: a grid, its results with honest statistics, a report.

A grid (`grid`) becomes jobs, jobs become results on all cores or a cluster (`sweep`, `workers`, `cache`), results become
a study (`study`), and a study tables, figures and a report. The command line and `experiments/` are thin callers.
"""
