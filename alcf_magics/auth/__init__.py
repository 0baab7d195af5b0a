"""Logging in at Globus: grants, the file that holds them, and the token of each request.

Leans on settings, errors, told and showing; of the gateway it knows only how a stale token looks.
Only `globus` and `signing` speak HTTP, and nothing here knows of a front end.
"""
