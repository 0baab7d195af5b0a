"""A wrong argument of a call: our own error and IPython's UsageError in one, a line in a cell.

Imported where it is raised: IPython is heavy for a script that needs none.
"""

from __future__ import annotations

from IPython.core.error import UsageError as _UsageError

from ..errors import RequestRefused


class UsageError(RequestRefused, _UsageError):
    """An argument is not what the call takes; nothing was sent."""
