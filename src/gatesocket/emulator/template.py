"""Reads a SAM or CloudFormation template as AWS would: through aws-sam-translator, not by hand.

`load` gives the template in plain CloudFormation, with two things that the translation loses: the directories of the
functions' code, which the translator only takes as addresses in S3, and the lines on which resources stand, for errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from gatesocket.exceptions import ConfigurationError

__all__ = ["Template", "load"]

_ELSEWHERE: Final = "s3://local/code"
"""Stands in for a directory, which the translator refuses."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template, translated."""

    path: Path
    body: Mapping[str, Any]
    """Plain CloudFormation; intrinsic functions are still in it."""
    code: Mapping[str, Path]
    """Logical id of each function whose code is a directory -> that directory, absolute."""
    parameters: Mapping[str, Any]
    """Values of the template's parameters: the given ones and the defaults of the others."""
    lines: Mapping[str, int]
    """Logical id of each resource that the author wrote -> the line it starts on."""

    @property
    def app(self) -> str | None:
        """``module:attribute`` of the ASGI app behind the functions, from ``Metadata: Gatesocket: App:``."""
        return self._metadata.get("App")

    @property
    def example(self) -> str | None:
        """Path and query of a WebSocket route that anybody can try, from ``Metadata: Gatesocket: Example:``."""
        return self._metadata.get("Example")

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return _mapping(_mapping(self.body.get("Metadata")).get("Gatesocket"))

    def where(self, logical_id: str) -> str:
        """Return ``file:line`` of a resource, or only the file for one that the translation made."""
        line = self.lines.get(logical_id)
        return f"{self.path}:{line}" if line else str(self.path)


def load(path: Path, *, region: str, parameters: Mapping[str, str] | None = None) -> Template:
    """Read and translate the template in the file *path*.

    Args:
        path: a SAM or CloudFormation template, in YAML or JSON.
        region: the AWS region that the stack pretends to be in.
        parameters: values for the template's parameters; what isn't named has the template's default.

    Raises:
        ConfigurationError: the file can't be read, isn't YAML, isn't a valid template, or has a parameter without a
            value; the message begins with ``file:line`` where there is one.
    """
    source, lines = _parse(path)
    values = _parameters(path, source, parameters or {})
    code = _take_code_away(source, path.parent.resolve())
    session = boto3.Session(region_name=region)
    try:
        # Managed policies would be looked up in IAM by name; nothing here asks what a function is allowed to do.
        body = Translator({}, Parser(), boto_session=session).translate(
            source, parameter_values=dict(values), get_managed_policy_map=dict, passthrough_metadata=True
        )
    except InvalidDocumentException as error:
        causes = [_with_line(path, lines, cause.message) for cause in error.causes]
        raise ConfigurationError("\n".join(causes)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # What isn't even shaped like a template makes the translator stumble instead of complaining.
        raise ConfigurationError(
            f"{path}: the template can't be translated: {error!r}. Try: cfn-lint {path}"
        ) from error
    return Template(path=path, body=body, code=code, parameters=values, lines=lines)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` for ``{"Ref": "x"}``, ``!Sub x`` for ``{"Fn::Sub": "x"}``."""

    def intrinsic(self, tag: str, node: Any) -> dict[str, Any]:
        name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
            # aws-sam-translator knows GetAtt's long form only.
            return {name: value.split(".", 1) if tag == "GetAtt" else value}
        if isinstance(node, yaml.SequenceNode):
            return {name: self.construct_sequence(node, deep=True)}
        return {name: self.construct_mapping(node, deep=True)}

    def date(self, node: yaml.ScalarNode) -> str:
        """Take a date, as in `Version: 2012-10-17`, as the text that it is to CloudFormation."""
        return str(self.construct_scalar(node))


_Loader.add_multi_constructor("!", _Loader.intrinsic)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.date)


def _parse(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the template can't be read: {error}. Name another") from error
    try:
        source = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}:{line}: the template isn't YAML: {error.problem}") from error
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise ConfigurationError(f"{path}: not a template: expected a mapping with `Resources`")
    return source, _lines(root)


def _lines(root: Any) -> dict[str, int]:
    sections = {key.value: value for key, value in root.value}
    return {resource.value: resource.start_mark.line + 1 for resource, _ in sections["Resources"].value}


def _parameters(path: Path, source: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    declared = _mapping(source.get("Parameters"))
    if unknown := given.keys() - declared.keys():
        raise ConfigurationError(
            f"{path}: there is no parameter {min(unknown)!r}; the template has {', '.join(declared) or 'none'}"
        )
    values = {name: given.get(name, _mapping(parameter).get("Default")) for name, parameter in declared.items()}
    for name, value in values.items():
        if value is None:
            raise ConfigurationError(f"{path}: parameter {name!r} has no default: give it with --parameter {name}=…")
    return values


def _take_code_away(source: dict[str, Any], base: Path) -> dict[str, Path]:
    """Replace every local CodeUri in *source* by an address that the translator takes; return the directories."""
    defaults = _mapping(_mapping(source.get("Globals")).get("Function"))
    shared = defaults.get("CodeUri", ".")
    code: dict[str, Path] = {}
    for logical_id, resource in source["Resources"].items():
        properties = _mapping(_mapping(resource).get("Properties"))
        match _mapping(resource).get("Type"):
            case "AWS::Serverless::Function" if not properties.keys() & {"InlineCode", "ImageUri"}:
                directory = properties.get("CodeUri", shared)
                if isinstance(directory, str) and not directory.startswith("s3://"):
                    properties["CodeUri"] = _ELSEWHERE
                    code[logical_id] = (base / directory).resolve()
            case "AWS::Lambda::Function" if isinstance(properties.get("Code"), str):
                code[logical_id] = (base / properties["Code"]).resolve()
    if "CodeUri" in defaults:
        defaults["CodeUri"] = _ELSEWHERE
    return code


def _mapping(value: Any) -> dict[str, Any]:
    """Return *value*, or an empty mapping if it isn't one: the translator will say so with better words."""
    return value if isinstance(value, dict) else {}


def _with_line(path: Path, lines: Mapping[str, int], message: str) -> str:
    """Put the line of the resource that *message* is about before it."""
    for logical_id, line in lines.items():
        if f"[{logical_id}]" in message:
            return f"{path}:{line}: {message}"
    return f"{path}: {message}"
