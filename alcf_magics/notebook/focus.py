"""Where the keyboard goes when what had it is gone: to a cell, where its keys mean something.

A page whose focused element is removed gives its keys to nobody: in JupyterLab Shift+Enter does
nothing then, and Tab begins at the top of the page. No message of Jupyter's moves the focus, so a
few lines of JavaScript do; they go out for a moment, and stay neither in the page nor in the file.
"""

from __future__ import annotations

import json

_HAND_ON = """\
// The login is done and its box is about to go: the focus goes on to a cell.
const panel = document.querySelector("." + %s);
const focused = document.activeElement;
if (panel && (focused === document.body || panel.contains(focused))) {
  const here = panel.closest(".jp-Cell");
  let cell = %s ? here?.nextElementSibling : here;
  while (cell && !(cell.matches(".jp-Cell") && cell.offsetParent)) cell = cell.nextElementSibling;
  (cell ?? here)?.focus();
}
"""


def hand_on(name: str, *, to_next: bool) -> str:
    """JavaScript that moves the focus from the element of the class `name` to the next cell.

    Or to the cell that the element is in. Whoever is elsewhere in the page stays there, and a
    front end that is not JupyterLab's has no such cells.
    """
    return _HAND_ON % (json.dumps(name), json.dumps(to_next))
