"""How a value looks, as safe HTML and as plain text, without IPython.

Leans on markdown alone.
"""
