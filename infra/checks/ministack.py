"""Deploy what `make build` built into MiniStack, and hold its functions to what they do in AWS.

MiniStack is a stand-in for AWS of others' making: CloudFormation, an API Gateway, Lambda in processes of its own,
DynamoDB and SQS, without Docker. The real template and the built package go into it by `sam deploy`; then WebSocket
clients talk to the chat, and every function is invoked with its sample events of local/events. It runs in the
environment of requirements/stack.txt, whose Python is that of the functions::

    make check-stack

What MiniStack makes of a template otherwise than CloudFormation is put right after the deployment (`put_right`). It
reads no OpenAPI, so that the HTTP API has no routes and its function is only invoked; and what expires stays. Each
check prints a line; the exit status is 1 if one failed.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import boto3
from websockets.asyncio.client import ClientConnection, connect

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
EVENTS: Final = ROOT / "local/events"
STACK: Final = "chat"
HANDLERS: Final = ("chat.entry", "chat.fanout")
PATIENCE: Final = 60
"""Seconds for a cold start on a busy machine."""

EXPECTED: Final[tuple[tuple[str, str, dict[str, object]], ...]] = (
    ("WebSocketFunction", "connect.json", {"statusCode": 200}),
    ("WakeFunction", "wake.json", {"batchItemFailures": []}),
    ("WebSocketFunction", "message.json", {"statusCode": 200}),
    ("WebSocketFunction", "disconnect.json", {"statusCode": 200}),
    ("WebSocketFunction", "connect-wrong-token.json", {"statusCode": 403}),
    ("HttpFunction", "announce.json", {"statusCode": 200}),
    ("JobsFunction", "job.json", {"batchItemFailures": []}),
    ("FanoutFunction", "fanout.json", {"batchItemFailures": []}),
)
"""Which function is invoked with which event, in this order, and what its answer has to hold."""


def main() -> int:
    """Deploy, try everything, and return the exit status."""
    build = ROOT / ".aws-sam/build"
    if not (build / "Package").is_dir():
        print("check-stack: nothing is built; run make build ARCHITECTURE=x86_64, or arm64 on such a machine")
        return 1
    problems: list[str] = []
    for handler in HANDLERS:
        print(f"ok   {handler} imported from the package alone  {cold_import(build / 'Package', handler):.0f} ms")
    with ministack() as endpoint:
        deploy(build)
        names = ("apigatewayv2", "cloudformation", "dynamodb", "lambda")
        session: Any = boto3.Session()
        clients = {name: session.client(name, endpoint_url=endpoint) for name in names}
        resources = look_up(clients)
        functions, api = {k: v for k, v in resources.items() if k.endswith("Function")}, resources["WebSocketApi"]
        put_right(clients, functions, api, endpoint)
        url = f"{endpoint.replace('http', 'ws', 1)}/_aws/execute-api/{api}/prod"
        for name, exchange in EXCHANGES.items():
            problems += attempt(name, partial(asyncio.run, exchange(url)))
        reap = partial(expire, clients, functions["ReaperFunction"], resources["ConnectionsTable"])
        problems += attempt("ReaperFunction with an expiry", partial(asyncio.run, expiry(url, reap)))
        for function, name, expected in EXPECTED:
            event = (EVENTS / name).read_bytes()
            answer = partial(invoke, clients["lambda"], functions[function], event, expected)
            problems += attempt(f"{function} with {name}", answer)
    print("\n".join(problems) or "everything is as expected")
    return bool(problems)


def attempt(name: str, run: Callable[[], None]) -> list[str]:
    """Run one check, print its line, and return what is wrong."""
    started = time.perf_counter()
    try:
        run()
    except Exception as error:  # whatever ends a check is what it found
        print(f"FAIL {name}")
        return [f"{name}: {type(error).__name__}: {error}"]
    print(f"ok   {name}  {(time.perf_counter() - started) * 1000:.0f} ms")
    return []


def cold_import(package: Path, module: str) -> float:
    """Import *module* in a fresh process that sees nothing but Python itself and *package*; return the milliseconds."""
    code = (
        f"import sys, time; sys.path.insert(0, {str(package)!r}); started = time.perf_counter(); import {module}; "
        "print(time.perf_counter() - started)"
    )
    variables = {
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "chat",
        "GATESOCKET_TABLE": "table",
        "GATESOCKET_ENDPOINT": "https://a1.execute-api.us-east-1.amazonaws.com/prod",
    }
    run = (sys.executable, "-S", "-P", "-c", code)
    printed = subprocess.run(run, env=variables, check=True, timeout=PATIENCE, capture_output=True, text=True).stdout
    return float(printed) * 1000


@contextlib.contextmanager
def ministack() -> Iterator[str]:
    """Run MiniStack on a free port of this machine alone, and let boto3 and `sam` in this process find it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106 (no secret: MiniStack takes any)
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=endpoint,
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        IOT_MTLS_ENABLED="0",
        LOG_LEVEL="WARNING",
        MINISTACK_HOST="127.0.0.1",
        SAM_CLI_TELEMETRY="0",
    )
    with subprocess.Popen((BIN / "ministack",), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port, process)
            yield endpoint
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens on *port*."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"MiniStack didn't start within {PATIENCE} s, or ended with {process.poll()}")


def deploy(build: Path) -> None:
    """Deploy the built template as whoever has an account would."""
    command = (
        *(BIN / "sam", "deploy", "--template-file", build / "template.yaml", "--stack-name", STACK, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset"),
    )
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"sam deploy failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    print(f"ok   sam deploy  {time.perf_counter() - started:.1f} s")


def look_up(clients: Mapping[str, Any]) -> dict[str, str]:
    """Return what resources are called, by their logical ids."""
    resources = clients["cloudformation"].describe_stack_resources(StackName=STACK)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def put_right(clients: Mapping[str, Any], functions: Mapping[str, str], api: str, endpoint: str) -> None:
    """Correct what MiniStack makes of a template otherwise than CloudFormation."""
    for name in functions.values():
        # Its Management API has another address than the one in AWS, which the template gives the functions.
        variables = clients["lambda"].get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        variables["GATESOCKET_ENDPOINT"] = f"{endpoint}/_aws/execute-api/{api}/prod"
        clients["lambda"].update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    integrations = clients["apigatewayv2"].get_integrations(ApiId=api)["Items"]
    [whole] = {each["IntegrationUri"] for each in integrations if "/functions//" not in each["IntegrationUri"]}
    for each in integrations:
        # It doesn't wait for a function that only a variable of Fn::Sub names, as in the integration that SAM makes.
        clients["apigatewayv2"].update_integration(ApiId=api, IntegrationId=each["IntegrationId"], IntegrationUri=whole)


# What clients see. MiniStack posts in binary frames, so that what is received is bytes; JSON's reader takes both.


async def hear(client: ClientConnection) -> Any:
    """Return the next message, read as JSON."""
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE))


def room(url: str, name: str) -> str:
    """Return where the chat's lobby is for *name*."""
    return f"{url}?{urlencode({'__path': '/ws/lobby', 'name': name})}"


async def greeting(url: str) -> None:
    """A route that speaks first is heard once the handshake is over."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        welcome = await hear(ann)
        expect("welcome", welcome["type"])
        expect(["ann"], welcome["data"]["people"])


async def echo(url: str) -> None:
    """Three messages go through one route, whose number goes on."""
    async with connect(f"{url}?{urlencode({'__path': '/ws/json'})}", open_timeout=PATIENCE) as client:
        for number, value in enumerate(("a", [1], {"b": None}), start=1):
            await client.send(json.dumps(value))
            expect({"number": number, "you_sent": value}, await hear(client))


async def broadcast_and_disconnect(url: str) -> None:
    """What one says both hear; who leaves is missed by the other."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        expect("welcome", (await hear(ann))["type"])
        async with connect(room(url, "bob"), open_timeout=PATIENCE) as bob:
            expect(["ann", "bob"], (await hear(bob))["data"]["people"])
            expect({"type": "joined", "data": {"name": "bob"}}, await hear(ann))
            await ann.send(json.dumps({"type": "say", "data": {"text": "hello"}}))
            for client in (ann, bob):
                expect({"name": "ann", "text": "hello", "number": 1}, (await hear(client))["data"])
        expect({"type": "left", "data": {"name": "bob"}}, await hear(ann))


async def expiry(url: str, expire: Callable[[str], None]) -> None:
    """Whose record expires has left, for the others too."""
    async with connect(room(url, "ann"), open_timeout=PATIENCE) as ann:
        expect("welcome", (await hear(ann))["type"])
        async with connect(room(url, "bob"), open_timeout=PATIENCE) as bob:
            connection_id = (await hear(bob))["data"]["connection"]
            expect("joined", (await hear(ann))["type"])
            await asyncio.to_thread(expire, connection_id)
            expect({"type": "left", "data": {"name": "bob"}}, await hear(ann))


EXCHANGES: Final[dict[str, Callable[[str], Coroutine[Any, Any, None]]]] = {
    "greeting": greeting,
    "echo": echo,
    "broadcast and disconnect": broadcast_and_disconnect,
}


def invoke(client: Any, function: str, event: bytes, expected: Mapping[str, object]) -> None:
    """Invoke a function, and expect its answer to hold *expected*."""
    answer = client.invoke(FunctionName=function, Payload=event)
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(payload)
    expect(expected, {name: payload.get(name) for name in expected})


def expire(clients: Mapping[str, Any], reaper: str, table: str, connection_id: str) -> None:
    """Delete a connection's record as DynamoDB does when its time is over, and tell the reaper as its stream would."""
    key = {"pk": {"S": f"C#{connection_id}"}, "sk": {"S": "C"}}
    image = clients["dynamodb"].delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"]
    change = {
        "eventID": "1",
        "eventName": "REMOVE",
        "eventSource": "aws:dynamodb",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {"Keys": key, "OldImage": in_json(image), "SequenceNumber": "1", "StreamViewType": "OLD_IMAGE"},
    }
    event = json.dumps({"Records": [change]}).encode()
    invoke(clients["lambda"], reaper, event, {"batchItemFailures": []})


def in_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as Lambda's events have them: bytes are base64."""
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for name, value in attributes.items()
    }


def expect(expected: object, got: object) -> None:
    """Raise unless both are the same."""
    if got != expected:
        raise RuntimeError(f"expected {expected!r}, got {got!r}")


if __name__ == "__main__":
    sys.exit(main())
