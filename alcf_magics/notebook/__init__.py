"""What people type and see: magics, options, the login panel, an answer while it streams.

Leans on everything below; nothing leans on it.
"""
