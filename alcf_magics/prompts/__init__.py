"""One prompt on its way to an exchange: what it is made of, and where it may go.

Leans on exchanges and all below them; the session offers it.
"""
