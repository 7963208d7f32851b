"""boto3's clients, made late and called in threads."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from gatesocket.aws import Boto3Client, Refused, Unreachable
from gatesocket.exceptions import ConfigurationError
from gatesocket.observation import Observation, Observers
from support.aws_environment import forget_aws

NO_PARAMETERS: dict[str, Any] = {}


class Client:
    """What stands for a boto3 client here: it has one operation, which does what a test wants."""

    closed = False

    def __init__(self, error: Exception | None = None, answer: dict[str, Any] | None = None) -> None:
        self.error = error
        self.answer = answer or {"Responses": {}}
        self.calls: list[dict[str, Any]] = []
        self.thread: threading.Thread | None = None

    def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        self.thread = threading.current_thread()
        self.calls.append(parameters)
        if self.error:
            raise self.error
        return self.answer

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def nothing_of_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    forget_aws(monkeypatch)
    return monkeypatch


@pytest.mark.parametrize("module", ["gatesocket.registry.dynamodb", "gatesocket.gateway.management_api"])
def test_boto3_is_not_imported_before_the_first_call(module: str) -> None:
    script = f"import {module}, sys; sys.exit(sorted({{'boto3', 'botocore'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-Ic", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


async def test_an_operation_is_the_method_of_its_name_called_in_a_thread() -> None:
    client = Client()
    answer = await Boto3Client("dynamodb", client=client).call("BatchGetItem", {"RequestItems": {}})
    assert (answer, client.calls) == ({"Responses": {}}, [{"RequestItems": {}}])
    assert client.thread is not threading.current_thread()


async def test_what_boto3_has_tried_again_is_counted_where_somebody_observes() -> None:
    again = {"ResponseMetadata": {"HTTPStatusCode": 400, "RetryAttempts": 2}, "Error": {"Code": "Throttled"}}
    client = Client(answer={"Responses": {}} | again)
    observation = Observation("message", "c", "r")
    with Observers().watching(observation):
        await Boto3Client("dynamodb", client=client).call("BatchGetItem", NO_PARAMETERS)
        client.error = ClientError(again, "BatchGetItem")  # type: ignore[arg-type]  # without the rest of an answer
        with pytest.raises(Refused):
            await Boto3Client("dynamodb", client=client).call("BatchGetItem", NO_PARAMETERS)
    assert observation.retries == 4


async def test_a_client_that_was_given_is_its_makers_to_close() -> None:
    client = Client()
    late = Boto3Client("dynamodb", client=client)
    await late.call("BatchGetItem", NO_PARAMETERS)
    await late.aclose()
    assert not client.closed


async def test_a_client_that_was_made_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(Boto3Client, "_connect", lambda _: client)
    late = Boto3Client("dynamodb")
    await late.call("BatchGetItem", NO_PARAMETERS)
    assert len(client.calls) == 1
    await late.aclose()
    assert client.closed


async def test_closing_what_was_never_used_makes_nothing() -> None:
    late = Boto3Client("dynamodb")
    await late.aclose()
    assert late._client is None


async def test_a_refusal_keeps_name_message_status_and_request_id() -> None:
    answer: Any = {
        "Error": {"Code": "ThrottlingException", "Message": "Slow down"},
        "ResponseMetadata": {"HTTPStatusCode": 429, "RequestId": "R1"},
    }
    refusing = Client(ClientError(answer, "BatchGetItem"))
    with pytest.raises(Refused, match="^ThrottlingException: Slow down$") as caught:
        await Boto3Client("dynamodb", client=refusing).call("BatchGetItem", NO_PARAMETERS)
    refused = caught.value
    assert (refused.code, refused.message, refused.status) == ("ThrottlingException", "Slow down", 429)
    assert refused.request_id == "R1"


@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url="https://nowhere"), ResponseParserError("https://nowhere is a page")]
)
async def test_no_answer_that_can_be_understood_is_unreachable(error: Exception) -> None:
    failing = Client(error)
    with pytest.raises(Unreachable, match="https://nowhere"):
        await Boto3Client("dynamodb", client=failing).call("BatchGetItem", NO_PARAMETERS)


async def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await Boto3Client("dynamodb", client=Client(ZeroDivisionError())).call("BatchGetItem", NO_PARAMETERS)


async def test_without_boto3_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gatesocket\[aws\]'"):
        await Boto3Client("dynamodb").call("ListTables", NO_PARAMETERS)


async def test_without_a_region_the_remedy_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="You must specify a region.*AWS_REGION"):
        await Boto3Client("dynamodb").call("ListTables", NO_PARAMETERS)


async def test_a_profile_that_is_not_there_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    nothing_of_aws.setenv("AWS_PROFILE", "not-there")
    with pytest.raises(ConfigurationError, match="not-there"):
        await Boto3Client("dynamodb", region="eu-central-1").call("ListTables", NO_PARAMETERS)


async def test_a_profiles_program_that_is_not_there_is_named(
    nothing_of_aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\ncredential_process = /not/there\n")
    nothing_of_aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ConfigurationError, match="no client for dynamodb can be made: .*'/not/there'"):
        await Boto3Client("dynamodb", region="eu-central-1").call("ListTables", NO_PARAMETERS)


async def test_an_endpoint_that_is_no_url_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    late = Boto3Client("dynamodb", region="eu-central-1", endpoint_url="localhost")
    with pytest.raises(ConfigurationError, match="no client for dynamodb can be made: Invalid endpoint: localhost"):
        await late.call("ListTables", NO_PARAMETERS)


async def test_the_management_api_that_boto3_makes_up_is_refused(nothing_of_aws: pytest.MonkeyPatch) -> None:
    """It has no API's id in it, and answers nobody."""
    late = Boto3Client("apigatewaymanagementapi", region="eu-central-1")
    with pytest.raises(ConfigurationError, match="endpoint isn't known.*GATESOCKET_ENDPOINT"):
        await late.call("PostToConnection", {"ConnectionId": "c", "Data": b""})
