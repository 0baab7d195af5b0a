"""What is said to the gateway and what it says: requests, chunks, completions, the catalog, errors.

Leans on showing (how a value looks), settings and errors; one module speaks HTTP.
"""
