"""Many texts in one call: rows of data as prompts, batches at the facility, vectors of texts.

Leans on the connection and all below it; the session offers it.
"""
