"""A model's Markdown to HTML that is safe to show, whole or while it grows.

Pure, and leans on nothing of ours. For others: `parsing` (to_html, parse, normalise, code_of),
`growing` (Growing), `safe_html` (escaped, code_block), `highlighting` (with_style).
"""
