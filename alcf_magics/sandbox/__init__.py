"""A local Globus Auth and a local ALCF gateway, for demonstrations, teaching and tests.

Nothing here leaves the machine: both servers listen on 127.0.0.1 only, and no model is asked
unless `upstream` names one. The package imports nothing from the rest of alcf_magics.

    with Sandbox("cold_model") as sandbox:
        os.environ.update(sandbox.environment)
"""

from .scenarios import SCENARIOS
from .server import Request, Sandbox
from .tokens import Identity

__all__ = ["SCENARIOS", "Identity", "Request", "Sandbox"]
