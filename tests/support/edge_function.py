"""The edge in front of a deployed stack: what its template makes, and its function, run by node."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.deployment import deploy

__all__ = ["EDGE_TEMPLATE", "EdgeFunction", "deploy_edge"]

EDGE_TEMPLATE = Path(__file__).parents[2] / "infra/edge/template.yaml"
ENDED_WITHIN = 10  # s

MAIN_STACK = {
    "WebSocketUrl": "wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/prod",
    "HttpUrl": "https://d4e5f6.execute-api.eu-west-1.amazonaws.com",
}
"""The outputs of the main stack that the edge's template takes."""


def deploy_edge(**parameters: str) -> dict[str, Any]:
    """Return the template's resources in front of the main stack above, or of what *parameters* say instead.

    One of them may be the ``region`` that it is deployed from.

    Raises:
        ValueError: CloudFormation would refuse the parameters.
    """
    return deploy(EDGE_TEMPLATE, **MAIN_STACK | parameters)


class EdgeFunction:
    """The template's function; edge_function.js stands for CloudFront."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._write(deploy_edge()["Rewrite"]["Properties"]["FunctionCode"])

    @classmethod
    @contextmanager
    def under_node(cls) -> Iterator["EdgeFunction"]:
        """Skip the test, and say why, where there is no node."""
        node = shutil.which("node")
        if node is None:
            pytest.skip("the edge's function is JavaScript, and node isn't installed to run it")
        command = (node, Path(__file__).with_suffix(".cjs"))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield cls(process)
            finally:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(ENDED_WITHIN)

    def rewrite(self, path: str, query: str | None) -> tuple[str, str | None]:
        """Return where a request goes; *query* is None for a URL without a question mark."""
        self._write(path, query)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer, "the function threw; node says why on standard error"
        path, query = json.loads(answer)
        return path, query

    def _write(self, *values: str | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(values) + "\n")
        self._process.stdin.flush()
