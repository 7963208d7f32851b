"""CloudFormation's intrinsic functions, as far as a stack on one machine needs them.

After aws-sam-translator has turned a SAM template into CloudFormation, values are still full of references. A
`Resolver` turns such a value into a plain one. What a resource's ``Ref`` and attributes are on this machine is told by
whoever makes the resolver; this module knows only the functions.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gatesocket.exceptions import ConfigurationError

__all__ = ["Attributes", "Resolver"]

Attributes = Callable[[str, str | None], str | None]
"""What resources are known by: (logical id, attribute name, None for ``Ref``) -> the value; None if there is none."""

_NO_VALUE: Final = object()
"""What ``AWS::NoValue`` stands for: the property that holds it doesn't exist."""

_PLACEHOLDER: Final = re.compile(r"\$\{(!?)([^}]*)\}")


class Resolver:
    """Turn values of one template into plain ones.

    Args:
        template: the template as CloudFormation would get it.
        parameters: values of template parameters and pseudo parameters (``AWS::Region`` and the rest).
        attributes: what the template's resources are known by.
    """

    def __init__(self, template: Mapping[str, Any], *, parameters: Mapping[str, Any], attributes: Attributes) -> None:
        self._mappings = template.get("Mappings") or {}
        self._conditions = template.get("Conditions") or {}
        self._parameters = parameters
        self._attributes = attributes
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::And": lambda terms: all(self.resolve(term) for term in terms),
            "Fn::Base64": lambda text: base64.b64encode(str(self.resolve(text)).encode()).decode(),
            "Fn::Equals": lambda pair: self._same(*self.resolve(pair)),
            "Fn::FindInMap": lambda path: self._find_in_map(*self.resolve(path)),
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Join": lambda parts: self._join(*self.resolve(parts)),
            "Fn::Not": lambda terms: not self.resolve(terms[0]),
            "Fn::Or": lambda terms: any(self.resolve(term) for term in terms),
            "Fn::Select": lambda choice: self._select(*self.resolve(choice)),
            "Fn::Split": lambda parts: self._split(*self.resolve(parts)),
            "Fn::Sub": self._sub,
        }

    def resolve(self, value: Any) -> Any:
        """Return *value* with every intrinsic function in it, at any depth, replaced by its result.

        Raises:
            ConfigurationError: a function that isn't known here, one that is used wrongly, or one that names
                something that the template doesn't have.
        """
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def condition(self, name: str) -> bool:
        """Evaluate the condition called *name*.

        Raises:
            ConfigurationError: the template has no such condition.
        """
        if name not in self._conditions:
            raise ConfigurationError(f"there is no condition {name!r}; the template has {_names(self._conditions)}")
        return bool(self.resolve(self._conditions[name]))

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if len(value) == 1:
                ((name, argument),) = value.items()
                if name in self._functions and not (name == "Condition" and not isinstance(argument, str)):
                    return self._call(name, argument)
                if name.startswith("Fn::"):
                    raise ConfigurationError(f"{name} isn't supported on this machine; write the value out")
            pairs = ((name, self._resolve(item)) for name, item in value.items())
            return {name: item for name, item in pairs if item is not _NO_VALUE}
        if isinstance(value, list):
            items = (self._resolve(item) for item in value)
            return [item for item in items if item is not _NO_VALUE]
        return value

    def _call(self, name: str, argument: Any) -> Any:
        try:
            return self._functions[name](argument)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise ConfigurationError(f"{name} can't be applied to {argument!r}: {error}") from error

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        value = self._attributes(name, None)
        if value is None:
            raise ConfigurationError(
                f"Ref names {name!r}, which is neither a parameter nor a resource that has a name on this machine"
            )
        return value

    def _get_att(self, path: str | list[str]) -> str:
        # YAML's short form is a text, "Table.Arn"; JSON's is a list. Names of nested attributes hold dots themselves.
        logical_id, _, attribute = path.partition(".") if isinstance(path, str) else (path[0], ".", path[1])
        value = self._attributes(logical_id, attribute)
        if value is None:
            raise ConfigurationError(f"{logical_id}.{attribute} has no value on this machine")
        return value

    def _sub(self, argument: str | list[Any]) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def substitute(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                return str(self.resolve(variables[name]))
            if name in self._parameters or "." not in name:
                return str(self._ref(name))
            return self._get_att(name)

        return _PLACEHOLDER.sub(substitute, text)

    def _if(self, argument: list[Any]) -> Any:
        name, then, otherwise = argument
        return self._resolve(then if self.condition(name) else otherwise)

    def _find_in_map(self, name: str, first: str, second: str) -> Any:
        return self._mappings[name][first][second]

    @staticmethod
    def _same(left: object, right: object) -> bool:
        # CloudFormation compares texts: a parameter of type Number equals the same number written in quotes.
        return str(left) == str(right)

    @staticmethod
    def _join(delimiter: str, parts: list[Any]) -> str:
        return delimiter.join(str(part) for part in parts)

    @staticmethod
    def _select(index: int | str, choices: list[Any]) -> Any:
        return choices[int(index)]

    @staticmethod
    def _split(delimiter: str, text: str) -> list[str]:
        return text.split(delimiter)


def _names(mapping: Mapping[str, Any]) -> str:
    return ", ".join(sorted(mapping)) or "none"
