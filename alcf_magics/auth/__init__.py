"""Logging in at Globus: grants, the file that holds them, and the token of each request.

Leans on settings and errors; of the gateway it knows only how a stale token looks.
"""
