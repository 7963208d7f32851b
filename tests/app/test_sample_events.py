"""The sample events of local/events: of the shape that AWS sends, and with the effect that their table promises."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayProxyEventV2Model,
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
    SqsModel,
)
from pydantic import BaseModel

EVENTS = Path(__file__).parents[2] / "local" / "events"

MODELS: dict[str, type[BaseModel]] = {
    "announce.json": APIGatewayProxyEventV2Model,
    "connect-wrong-token.json": APIGatewayWebSocketConnectEventModel,
    "connect.json": APIGatewayWebSocketConnectEventModel,
    "disconnect.json": APIGatewayWebSocketDisconnectEventModel,
    "message.json": APIGatewayWebSocketMessageEventModel,
    "wake.json": SqsModel,
}


def sample(name: str) -> Any:
    return json.loads((EVENTS / name).read_text())


def test_every_sample_is_listed_with_its_model_and_in_the_table_of_the_page() -> None:
    names = {path.name for path in EVENTS.glob("*.json")}
    page = (EVENTS / "README.md").read_text()
    assert names == set(MODELS) == {name for name in MODELS if f"| `{name}` |" in page}


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_has_the_shape_that_aws_sends(name: str) -> None:
    MODELS[name].model_validate(sample(name))
