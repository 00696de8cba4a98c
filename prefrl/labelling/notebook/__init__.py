"""Labelling in a notebook cell: the label page's own modules and its server's own application, with no network between."""
