"""Functions of the notebook as tools of a model: what it is told of them, and how they are run.

Leans on the gateway room; an exchange runs what an answer calls. What does not come in here does
not run: only the functions that a prompt named ever do.
"""
