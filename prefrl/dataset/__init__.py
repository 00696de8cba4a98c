"""A run's questions, answers and segments in open formats, for other tools and other machines; and back again."""
