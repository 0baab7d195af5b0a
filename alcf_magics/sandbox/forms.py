"""The form that a request asks its answer to have, as a model server takes it."""

from __future__ import annotations

import json
from typing import Any

from .instances import NoSchema, instance

FORMS = ("text", "json_object", "json_schema")


def about_form(form: object) -> str:
    """What is wrong with a `response_format`, in a model server's words."""
    if form is None:
        return ""
    kind = form.get("type") if isinstance(form, dict) else None
    if kind not in FORMS or not isinstance(form, dict):
        return f"response_format type must be one of {', '.join(FORMS)}, not {kind!r}"
    try:
        formed(form)
    except NoSchema as wrong:
        return f"JSON schema conversion failed in response_format: {wrong}"
    return ""


def formed(form: dict[str, Any]) -> str | None:
    """The text that a `response_format` asks for; None where any will do. Raises NoSchema."""
    if form["type"] == "json_object":
        return json.dumps({"answer": "No model was asked: this is the sandbox."})
    if form["type"] != "json_schema":
        return None
    asked = form.get("json_schema")
    if not isinstance(asked, dict) or not isinstance(asked.get("schema"), dict):
        raise NoSchema("no schema is given")
    return json.dumps(instance(asked["schema"]), ensure_ascii=False)
