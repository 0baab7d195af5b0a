"""A model's Markdown to HTML that is safe to show, whole or while it grows.

Pure, and leans on nothing of ours.
"""
