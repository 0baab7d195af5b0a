"""Images on their way into a prompt: from what a person has to what a model takes.

Figures, PIL images, arrays, files and addresses come in. No library is imported for a value that
has not brought it along; files and arrays need Pillow (the extra `images`).
"""
