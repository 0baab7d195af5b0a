"""How servers are reached, for the gateway and for Globus alike: proxies, certificates, trouble.

What is said about a server, and to whom, is not known here.
"""
