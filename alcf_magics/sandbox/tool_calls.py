"""The sandbox's model calls a tool when its prompt names one, or the request says it has to.

    Call speed({"nodes": 4}), and then area.

calls `speed` with what stands behind it, and `area` with arguments that fit its parameters. After
`call` a name is called that is none of the tools, too: models do that.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from .instances import NoSchema, instance

_CALL = re.compile(
    r"\bcall (?:the (?:tool|function) )?`?(?P<name>[A-Za-z_][\w-]*)`?(?=\s*[({])", re.I
)
_PAIR = re.compile(r"(\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s,;)]*[^\s,;).])")
_MODES = ("none", "auto", "required")


def about_tools(body: dict[str, Any]) -> str:
    """What is wrong with `tools` and `tool_choice`, in a model server's words; empty if nothing."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    if tools is None:
        return "tool_choice is only allowed when tools are specified" if choice else ""
    try:
        names = _parameters(body).keys()
    except (TypeError, KeyError, AttributeError):
        return "tools: each is {'type': 'function', 'function': {'name': …}}"
    if isinstance(choice, dict):
        name = _chosen(choice)
        return "" if name in names else f"tool_choice: there is no tool {name!r}"
    if choice is None or choice in _MODES:
        return ""
    return f"tool_choice: {choice!r} is none of {', '.join(_MODES)}"


def asked_calls(body: dict[str, Any], prompt: str) -> list[dict[str, Any]]:
    """The calls that the answer to a prompt is, as a message has them; none for an answer."""
    tools, choice = _parameters(body), body.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return []
    if isinstance(choice, dict):
        named = [_chosen(choice)]
    elif body["messages"][-1].get("role") == "tool" and choice == "auto":
        return []
    else:
        named = _named(prompt, tools) or ([next(iter(tools))] if choice == "required" else [])
    count = len(body["messages"])
    return [
        {
            "id": f"call_{hashlib.sha256(f'{count}/{place}/{name}'.encode()).hexdigest()[:12]}",
            "type": "function",
            "function": {"name": name, "arguments": _arguments(prompt, name, tools.get(name, {}))},
        }
        for place, name in enumerate(named)
    ]


def in_pieces(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls as a stream has them: first the name, then the arguments piece by piece."""
    pieces: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        function = call["function"]
        begins = {"name": function["name"], "arguments": ""}
        pieces.append({**call, "index": index, "function": begins})
        written = function["arguments"]
        pieces += [
            {"index": index, "function": {"arguments": written[start : start + 8]}}
            for start in range(0, len(written), 8)
        ]
    return pieces


def results(body: dict[str, Any]) -> str:
    """What the tools gave last, for the built-in answer."""
    found = []
    for message in reversed(body.get("messages", ())):
        if not isinstance(message, dict) or message.get("role") != "tool":
            break
        found.append(f"\nA tool gave:\n\n```\n{message.get('content')}\n```\n")
    return "".join(reversed(found))


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    """The tools' names, and the schemas of their parameters."""
    functions = [tool["function"] for tool in body.get("tools") or ()]
    return {str(function["name"]): function.get("parameters", {}) for function in functions}


def _chosen(choice: dict[str, Any]) -> str:
    function = choice.get("function")
    return str(function.get("name")) if isinstance(function, dict) else ""


def _named(prompt: str, tools: dict[str, Any]) -> list[str]:
    """The tools that a prompt names, in its order, each once; and what it says to call."""
    places = {match["name"]: match.start("name") for match in _CALL.finditer(prompt)}
    for name in tools:
        if match := re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", prompt):
            places.setdefault(name, match.start())
    return sorted(places, key=places.__getitem__)


def _arguments(prompt: str, name: str, schema: Any) -> str:
    """The arguments that stand behind a name: as JSON, as `a=1`, or made up to fit."""
    _, _, behind = prompt.partition(name)
    given = re.match(r"[`\s(]*(?=\{)", behind)
    if given:
        try:
            value, _ = json.JSONDecoder().raw_decode(behind, given.end())
            return json.dumps(value, ensure_ascii=False)
        except ValueError:
            pass
    try:
        made = instance(schema) if schema else {}
    except NoSchema:
        made = {}
    known = schema.get("properties", {}) if isinstance(schema, dict) else {}
    pairs = {key: _read(value) for key, value in _PAIR.findall(behind) if key in known}
    return json.dumps({**made, **pairs} if isinstance(made, dict) else pairs, ensure_ascii=False)


def _read(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written.strip("'\"")
