"""boto3's clients, made late and called in threads."""

import subprocess
import sys
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from gatesocket.aws import LateClient, Refused, Unreachable
from gatesocket.exceptions import ConfigurationError
from support.aws_environment import forget_aws


class Client:
    """What stands for a boto3 client here."""

    closed = False

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


async def test_calls_run_in_a_thread() -> None:
    late = LateClient("dynamodb", client=Client())
    assert await late.call(lambda _: threading.current_thread()) is not threading.current_thread()


async def test_a_client_that_was_given_is_its_makers_to_close() -> None:
    client = Client()
    late = LateClient("dynamodb", client=client)
    await late.call(lambda _: None)
    await late.aclose()
    assert not client.closed


async def test_a_client_that_was_made_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(LateClient, "_connect", lambda _: client)
    late: LateClient[Client] = LateClient("dynamodb")
    assert await late.call(lambda made: made) is client
    await late.aclose()
    assert client.closed


async def test_closing_what_was_never_used_makes_nothing() -> None:
    late: LateClient[Client] = LateClient("dynamodb")
    await late.aclose()
    assert late._client is None


async def test_a_refusal_keeps_name_message_and_status() -> None:
    def refuse(_: Client) -> None:
        answer: Any = {
            "Error": {"Code": "ThrottlingException", "Message": "Slow down"},
            "ResponseMetadata": {"HTTPStatusCode": 429},
        }
        raise ClientError(answer, "PutItem")

    with pytest.raises(Refused, match="^ThrottlingException: Slow down$") as caught:
        await LateClient("dynamodb", client=Client()).call(refuse)
    assert (caught.value.code, caught.value.message, caught.value.status) == ("ThrottlingException", "Slow down", 429)


def test_a_refusal_without_a_message_is_its_name() -> None:
    assert str(Refused("410", "", 410)) == "410"


async def test_no_answer_is_unreachable() -> None:
    def fail(_: Client) -> None:
        raise EndpointConnectionError(endpoint_url="https://nowhere")

    with pytest.raises(Unreachable, match="https://nowhere"):
        await LateClient("dynamodb", client=Client()).call(fail)


async def test_other_errors_pass_through() -> None:
    def fail(_: Client) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await LateClient("dynamodb", client=Client()).call(fail)


async def test_without_boto3_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    late: LateClient[Client] = LateClient("dynamodb")
    with pytest.raises(ConfigurationError, match=r"pip install 'gatesocket\[aws\]'"):
        await late.call(lambda _: None)


async def test_without_a_region_the_remedy_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    late: LateClient[Client] = LateClient("dynamodb")
    with pytest.raises(ConfigurationError, match="You must specify a region.*AWS_REGION"):
        await late.call(lambda _: None)


async def test_a_profile_that_is_not_there_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    nothing_of_aws.setenv("AWS_PROFILE", "not-there")
    late: LateClient[Client] = LateClient("dynamodb", region="eu-central-1")
    with pytest.raises(ConfigurationError, match="not-there"):
        await late.call(lambda _: None)


async def test_an_endpoint_that_is_no_url_is_named(nothing_of_aws: pytest.MonkeyPatch) -> None:
    late: LateClient[Client] = LateClient("dynamodb", region="eu-central-1", endpoint_url="localhost")
    with pytest.raises(ConfigurationError, match="no client for dynamodb can be made: Invalid endpoint: localhost"):
        await late.call(lambda _: None)
