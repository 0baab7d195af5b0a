"""A JSON schema as strict servers take it. Pure.

They want an object at the root, each field required and no other allowed, `anyOf` alone, and a
`$ref` without siblings. What only narrows a value and is not known everywhere is left out: the
answer is validated with the whole schema afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

#: What is passed on as it is; titles, defaults and examples are not.
_KEPT = (
    *("type", "enum", "const", "description", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems"),
)
#: Formats of texts that strict servers know.
_FORMATS = (
    *("date-time", "time", "date", "duration"),
    *("email", "hostname", "ipv4", "ipv6", "uuid"),
)
#: Where schemas that others point to are kept.
_DEFS = "$defs"
#: The one field of what stands around a root that is no object.
VALUE = "value"


class Unfit(Exception):
    """What cannot be made strict: `args` are where that is, and why."""


def strict(schema: Mapping[str, Any]) -> tuple[Json, bool]:
    """The schema as strict servers take it, and whether its root had to be wrapped.

    A root that is no object becomes the field `value` of one. Raises Unfit.
    """
    making = _Making(schema)
    try:
        return making.root()
    except RecursionError:
        trouble = "it is nested too deep"
    raise Unfit("", trouble)


class _Making:
    """One schema being made; `defs` holds what it points to, made already or just now."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._names: dict[str, str] = {}
        self._defs: Json = {}

    def root(self) -> tuple[Json, bool]:
        made = self._made(self._schema, "")
        seen: set[str] = set()
        while "$ref" in made:
            if made["$ref"] in seen:
                raise Unfit("", "it points to itself alone")
            seen.add(made["$ref"])
            made = dict(self._defs[made["$ref"].rpartition("/")[2]])
        wrapped = made.get("type") != "object"
        if wrapped:
            made = _object({VALUE: made})
        return made | ({_DEFS: self._defs} if self._defs else {}), wrapped

    def _made(self, schema: Any, at: str) -> Json:
        if not isinstance(schema, Mapping):
            raise Unfit(at, "it may be anything" if schema is True else "it is no schema")
        schema = self._merged(schema, at)
        if "$ref" in schema:
            return {"$ref": self._ref(schema["$ref"], at)}
        made = {name: schema[name] for name in _KEPT if name in schema} | _text_rules(schema)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            if "properties" in schema or not isinstance(options, list):
                raise Unfit(at, "it has fields of its own beside its variants (anyOf)")
            kept = {name: made[name] for name in ("description",) if name in made}
            return kept | {"anyOf": [self._made(option, at) for option in options]}
        kinds = schema.get("type", "object" if "properties" in schema else None)
        if "object" in (kinds if isinstance(kinds, list) else [kinds]):
            made |= {"type": kinds} | self._fields(schema, at)
        if "array" in (kinds if isinstance(kinds, list) else [kinds]):
            made |= self._items(schema, at)
        if not {"type", "enum", "const"}.intersection(made):
            raise Unfit(at, "it may be anything")
        return made

    def _merged(self, schema: Mapping[str, Any], at: str) -> Mapping[str, Any]:
        """A schema without `allOf`, and with what its `$ref` means where it has fields, too."""
        parts = schema.get("allOf") or []
        if "$ref" in schema and "properties" in schema:
            parts = [{"$ref": schema["$ref"]}, *parts]
        if not parts:
            return schema
        rest = {name: v for name, v in schema.items() if name not in ("allOf", "$ref")}
        if len(parts) == 1 and "properties" not in rest:
            return {**rest, **parts[0]} if isinstance(parts[0], Mapping) else parts[0]
        merged: Json = rest
        for part in parts:
            merged = _joined(merged, self._meant(part, at), at)
        return merged

    def _meant(self, schema: Any, at: str) -> Mapping[str, Any]:
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._found(schema["$ref"], at)
        if not isinstance(schema, Mapping):
            raise Unfit(at, "it is no schema")
        return self._merged(schema, at)

    def _fields(self, schema: Mapping[str, Any], at: str) -> Json:
        fields = schema.get("properties")
        if not fields or not isinstance(fields, Mapping):
            raise Unfit(at, "it may have any keys, and servers take fields with names")
        dot = f"{at}." if at else ""
        made = {name: self._made(field, f"{dot}{name}") for name, field in fields.items()}
        return {name: v for name, v in _object(made).items() if name != "type"}

    def _items(self, schema: Mapping[str, Any], at: str) -> Json:
        items, first = schema.get("items", True), schema.get("prefixItems")
        first = items if isinstance(items, list) else first
        if not first:
            return {"items": self._made(items, f"{at}[]")}
        made = [self._made(item, f"{at}[{place}]") for place, item in enumerate(first)]
        kinds = [item for place, item in enumerate(made) if item not in made[:place]]
        each = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return {"items": each, "minItems": len(made), "maxItems": len(made)}

    def _ref(self, ref: object, at: str) -> str:
        """A reference to what is made of its target, which is made once."""
        if ref not in self._names:
            target = self._found(ref, at)
            name = self._names[str(ref)] = self._free(str(ref))
            self._defs[name] = {}
            self._defs[name] = self._made(target, at)
        return f"#/{_DEFS}/{self._names[str(ref)]}"

    def _free(self, ref: str) -> str:
        name = re.sub(r"[^\w.-]+", "_", ref.removeprefix("#").rpartition("/")[2]) or "root"
        while name in self._defs:
            name += "_"
        return name

    def _found(self, ref: object, at: str) -> Any:
        found: Any = self._schema
        if not isinstance(ref, str) or not re.match(r"#(/|$)", ref):
            raise Unfit(at, f"it points outside of the schema ({ref!r:.80})")
        for step in ref.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                raise Unfit(at, f"there is nothing at {ref!r:.80}")
        return found


def _object(fields: Json) -> Json:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _text_rules(schema: Mapping[str, Any]) -> Json:
    """A format that servers know, and a pattern of the whole text: others mean other things."""
    rules: Json = {}
    if schema.get("format") in _FORMATS:
        rules["format"] = schema["format"]
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and re.fullmatch(r"\^(?!.*\(\?).*(?<!\\)\$", pattern):
        rules["pattern"] = pattern
    return rules


def _joined(one: Mapping[str, Any], other: Mapping[str, Any], at: str) -> Json:
    """What fits both of two objects' schemas, where that can be written as one."""
    joined = dict(one)
    for name, value in other.items():
        before = joined.get(name, value)
        if name == "properties":
            joined[name] = {**joined.get(name, {}), **value}
        elif name == "required":
            joined[name] = [*joined.get(name, []), *value]
        elif before != value and name in (*_KEPT, "anyOf", "oneOf") and name != "description":
            raise Unfit(at, "it joins schemas (allOf) that cannot be written as one")
        else:
            joined[name] = before
    return joined
