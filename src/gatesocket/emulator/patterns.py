"""Patterns that say which events an event source passes on: the part of EventBridge's rules that is known here.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

from collections.abc import Mapping
from typing import Any, Final

from gatesocket.exceptions import ConfigurationError

__all__ = ["check", "matches"]

_KNOWN: Final = frozenset({"exists", "prefix", "suffix"})


def check(pattern: object) -> None:
    """Make sure that `matches` understands a pattern.

    Raises:
        ConfigurationError: it has a rule that isn't known here, or isn't a pattern.
    """
    if not isinstance(pattern, Mapping):
        raise ConfigurationError(f"expected a pattern, which is an object of JSON, but got {pattern!r}")
    for rules in pattern.values():
        if isinstance(rules, Mapping):
            check(rules)
            continue
        for rule in rules if isinstance(rules, list) else [rules]:
            if not isinstance(rules, list) or (
                isinstance(rule, Mapping) and (len(rule) != 1 or not rule.keys() <= _KNOWN)
            ):
                raise ConfigurationError(
                    f"the pattern's rule {rule!r} isn't known on this machine, only lists of values and of "
                    f"{', '.join(sorted(_KNOWN))}"
                )


def matches(pattern: Mapping[str, Any], event: object) -> bool:
    """Return whether *event* has, for each key of the pattern, what one of its rules asks for."""
    found = event if isinstance(event, Mapping) else {}
    return all(
        matches(rules, found.get(key))
        if isinstance(rules, Mapping)
        else any(_follows(rule, found, key) for rule in rules)
        for key, rules in pattern.items()
    )


def _follows(rule: object, event: Mapping[str, Any], key: str) -> bool:
    match rule:
        case {"exists": wanted}:
            return (key in event) is wanted
        case {"prefix": start}:
            return str(event.get(key, "")).startswith(start)
        case {"suffix": end}:
            return str(event.get(key, "")).endswith(end)
        case _:
            return key in event and bool(event[key] == rule)
