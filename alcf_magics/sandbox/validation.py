"""The gateway's two validators of request bodies, as tables: the current one and the strict one.

The current one checks only the fields the gateway itself acts on and refuses names it reserves.
The strict one (before 18 August 2026) was pydantic's with extra=forbid; its error types, places
and messages are those recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .envelopes import JSON, Refusal, detail, error

RESERVED = ("api_port", "cache_salt", "openai_endpoint")
ROLES = ["developer", "system", "user", "assistant", "tool"]
TEXT_ROLES = ("developer", "system", "tool")  # whose content may not be made of parts
TRUE = ("1", "on", "t", "true", "y", "yes")
FALSE = ("0", "off", "f", "false", "n", "no")
PLACE = ("body", "payload")
BATCH_PLACE = ("body", "batch_data")

Loc = tuple[str | int, ...]
Checked = tuple[Any, list[JSON]]


@dataclass(frozen=True)
class Field:
    """One field of a body: its kind (a key of CHECKS), range, choices or nested fields."""

    kind: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict)
    extra: bool = False
    required: bool = False


ANY = Field("any")
BOOL = Field("bool")
TEXT = Field("str")
COUNT = Field("int", low=0)
PENALTY = Field("float", -2.0, 2.0)
SAMPLING: Mapping[str, Field] = {
    "frequency_penalty": PENALTY,
    "logit_bias": Field("object", extra=True),
    "max_tokens": COUNT,
    "n": Field("int", 1, 128),
    "presence_penalty": PENALTY,
    "seed": Field("int"),
    "stop": ANY,
    "stream": BOOL,
    "stream_options": Field("object", fields={"include_usage": BOOL}),
    "temperature": Field("float", 0.0, 2.0),
    "top_p": Field("float", 0.0, 1.0),
    "user": TEXT,
}
STRICT: Mapping[str, Mapping[str, Field]] = {
    "chat/completions": {
        "model": Field("str", required=True),
        "messages": Field("messages", required=True),
        **SAMPLING,
        "logprobs": BOOL,
        "top_logprobs": Field("int", 0, 20),
        "max_completion_tokens": COUNT,
        "parallel_tool_calls": BOOL,
        "reasoning_effort": Field("enum", choices=("low", "medium", "high")),
        "response_format": Field(
            "object",
            fields={
                "type": Field("enum", choices=("text", "json_object", "json_schema"), required=True)
            },
            extra=True,
        ),
        "tools": Field("list"),
        "tool_choice": ANY,
        "metadata": Field("object", extra=True),
        "store": BOOL,
        "service_tier": TEXT,
        "extra_body": Field(
            "object", fields={"use_beam_search": Field("bool", required=True)}, extra=True
        ),
    },
    "completions": {
        "model": Field("str", required=True),
        "prompt": Field("any", required=True),
        **SAMPLING,
        "best_of": COUNT,
        "echo": BOOL,
        "logprobs": COUNT,
        "suffix": TEXT,
    },
    "embeddings": {
        "model": Field("str", required=True),
        "input": Field("any", required=True),
        "dimensions": Field("int", low=1),
        "encoding_format": Field("enum", choices=("float", "base64")),
        "user": TEXT,
    },
}
BATCH = {
    "model": Field("str", required=True),
    "input_file": Field("str", required=True),
    "output_folder_path": TEXT,
}
# What the current gateway checks, in its order: field, whether it must be there, and the check.
CONTROL: Mapping[str, Sequence[tuple[str, bool, str]]] = {
    "chat/completions": (("model", True, "str"), ("messages", True, "list"), ("stream", False, "")),
    "completions": (("model", True, "str"), ("prompt", True, "any"), ("stream", False, "")),
    "embeddings": (("model", True, "str"), ("input", True, "any"), ("stream", False, "false")),
}


def validate(validator: str, route: str, body: JSON) -> tuple[JSON, Refusal | None]:
    """The body as the gateway reads it (the strict one converts "yes" to true), or a refusal."""
    return {"current": _current, "strict": _strict}[validator](route, body)


def validate_batch(body: JSON) -> tuple[JSON, Refusal | None]:
    """A batch as both gateways read it, or a refusal."""
    clean, problems = _object(body, Field("object", fields=BATCH), BATCH_PLACE)
    return clean, detail(422, problems) if problems else None


def _current(route: str, body: JSON) -> tuple[JSON, Refusal | None]:
    reserved = sorted(set(RESERVED).intersection(body))
    if reserved:
        text = "FIRST-reserved request fields are not accepted."
        return body, error(422, "invalid_request", text, fields=reserved)
    found = []
    for name, required, kind in CONTROL[route]:
        problems: list[JSON] = []
        if name not in body:
            problems = [_problem("missing", (), "Field required")] if required else []
        elif name == "stream":
            problems = _control_stream(body[name], kind)
        else:
            problems = CHECKS[kind](body[name], Field(kind), ())[1]
        found += [{"field": name, "message": p["msg"], "type": p["type"]} for p in problems]
    if found:
        text = "Invalid FIRST control fields."
        return body, error(422, "invalid_request", text, errors=found)
    return body, None


def _control_stream(value: Any, kind: str) -> list[JSON]:
    if kind == "false" and value not in (None, False):
        return [_problem("literal_error", (), "Input should be False")]
    if value is not None and not isinstance(value, bool):
        return [_problem("bool_type", (), "Input should be a valid boolean")]
    return []


def _strict(route: str, body: JSON) -> tuple[JSON, Refusal | None]:
    clean, problems = _object(body, Field("object", fields=STRICT[route]), PLACE)
    if not problems:
        # As with pydantic, rules about several fields come only after each field is right.
        problems = [
            _value_error(PLACE, text) for broken, text in RULES_BETWEEN_FIELDS if broken(clean)
        ]
    return clean, detail(422, problems) if problems else None


def _problem(kind: str, loc: Loc, message: str, **context: Any) -> JSON:
    problem: JSON = {"type": kind, "loc": list(loc), "msg": message}
    return {**problem, "ctx": context} if context else problem


def _value_error(loc: Loc, text: str) -> JSON:
    return _problem("value_error", loc, f"Value error, {text}", error=text)


def _any(value: Any, rule: Field, loc: Loc) -> Checked:
    return value, []


def _str(value: Any, rule: Field, loc: Loc) -> Checked:
    if isinstance(value, str):
        return value, []
    return value, [_problem("string_type", loc, "Input should be a valid string")]


def _list(value: Any, rule: Field, loc: Loc) -> Checked:
    if isinstance(value, list):
        return value, []
    return value, [_problem("list_type", loc, "Input should be a valid list")]


def _bool(value: Any, rule: Field, loc: Loc) -> Checked:
    if isinstance(value, bool):
        return value, []
    if isinstance(value, str | int | float):
        text = value.lower() if isinstance(value, str) else f"{value:g}"
        if text in TRUE or text in FALSE:
            return text in TRUE, []
        message = "Input should be a valid boolean, unable to interpret input"
        return value, [_problem("bool_parsing", loc, message)]
    return value, [_problem("bool_type", loc, "Input should be a valid boolean")]


def _number(value: Any, rule: Field, loc: Loc) -> Checked:
    noun = {"int": "integer", "float": "number"}[rule.kind]
    if isinstance(value, str):
        try:
            number = float(value) if rule.kind == "float" else int(value)
        except ValueError:
            message = f"Input should be a valid {noun}, unable to parse string as "
            message += {"int": "an integer", "float": "a number"}[rule.kind]
            return value, [_problem(f"{rule.kind}_parsing", loc, message)]
    elif isinstance(value, int | float):
        if rule.kind == "int" and value != int(value):
            message = "Input should be a valid integer, got a number with a fractional part"
            return value, [_problem("int_from_float", loc, message)]
        number = float(value) if rule.kind == "float" else int(value)
    else:
        return value, [_problem(f"{rule.kind}_type", loc, f"Input should be a valid {noun}")]
    if rule.low is not None and not number >= rule.low:
        message = f"Input should be greater than or equal to {rule.low:g}"
        return number, [_problem("greater_than_equal", loc, message, ge=rule.low)]
    if rule.high is not None and not number <= rule.high:
        message = f"Input should be less than or equal to {rule.high:g}"
        return number, [_problem("less_than_equal", loc, message, le=rule.high)]
    return number, []


def _enum(value: Any, rule: Field, loc: Loc) -> Checked:
    if value in rule.choices:
        return value, []
    names = [repr(choice) for choice in rule.choices]
    expected = f"{', '.join(names[:-1])} or {names[-1]}"
    return value, [_problem("enum", loc, f"Input should be {expected}", expected=expected)]


def _object(value: Any, rule: Field, loc: Loc) -> Checked:
    if not isinstance(value, dict):
        return value, [_problem("dict_type", loc, "Input should be a valid dictionary")]
    clean = dict(value)
    problems: list[JSON] = []
    for name, inner in rule.fields.items():
        if name not in value:
            if inner.required:
                problems.append(_problem("missing", (*loc, name), "Field required"))
        elif value[name] is not None or inner.required:
            clean[name], found = CHECKS[inner.kind](value[name], inner, (*loc, name))
            problems += found
    if not rule.extra:
        message = "Extra inputs are not permitted"
        unknown = [name for name in value if name not in rule.fields]
        problems += [_problem("extra_forbidden", (*loc, name), message) for name in unknown]
    return clean, problems


def _messages(value: Any, rule: Field, loc: Loc) -> Checked:
    if not isinstance(value, list):
        return _list(value, rule, loc)
    problems: list[JSON] = []
    for index, message in enumerate(value):
        place = (*loc, index)
        if not isinstance(message, dict):
            problems += _object(message, ANY, place)[1]
        elif message.get("role") not in ROLES:
            problems.append(_value_error(place, f"'messages-role' must be one of {ROLES}."))
        elif message["role"] in TEXT_ROLES:
            problems += _text_content(message.get("content"), (*place, "content"))
    return value, problems


def _text_content(content: Any, loc: Loc) -> list[JSON]:
    """A string or a list of strings; a list of parts fails both, as the recording shows."""
    parts = content if isinstance(content, list) else []
    wrong = [index for index, part in enumerate(parts) if not isinstance(part, str)]
    if isinstance(content, str) or (isinstance(content, list) and not wrong):
        return []
    message = "Input should be a valid string"
    places: list[Loc] = [(*loc, "str"), *((*loc, "list[str]", index) for index in wrong)]
    return [_problem("string_type", place, message) for place in places]


CHECKS: Mapping[str, Callable[[Any, Field, Loc], Checked]] = {
    "any": _any,
    "str": _str,
    "list": _list,
    "bool": _bool,
    "int": _number,
    "float": _number,
    "enum": _enum,
    "object": _object,
    "messages": _messages,
}
RULES_BETWEEN_FIELDS: Sequence[tuple[Callable[[JSON], bool], str]] = (
    (
        lambda body: isinstance(body.get("stop"), list) and not 1 <= len(body["stop"]) <= 4,
        "'stop' list must have between 1 to 4 items.",
    ),
    (
        lambda body: body.get("top_logprobs") is not None and body.get("logprobs") is not True,
        "'logprobs' must be set to True when 'top_logprobs' is used.",
    ),
)
