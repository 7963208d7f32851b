"""Deploy what `make build` built into MiniStack, and hold it to what it does in AWS.

MiniStack is a stand-in for AWS of others' making: CloudFormation, IAM, an API Gateway, Lambda in processes of its own,
DynamoDB and SQS, without Docker. It is told to check every call against the caller's policies, so that each function
has to make do with what the template grants it. It runs in the environment of requirements/stack.txt, whose Python is
that of the functions::

    make check-stack

The template is deployed three times: as it is, where WebSocket clients talk to the chat and every function is invoked
with its sample events of local/events; with most of what parameters add, where an authorizer lets clients in and the
FIFO queue is filled as API Gateway would; and with parameters that have to be refused. At the end the stacks are
deleted, and nothing may be left. What MiniStack makes of a template otherwise than CloudFormation is put right after a
deployment (`put_right`). It reads no OpenAPI, so that the HTTP API has no routes and its function is only invoked; and
what expires stays. Each check prints a line; the exit status is 1 if one failed.
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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

import exchanges
from exchanges import PATIENCE, expect

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
BUILD: Final = ROOT / ".aws-sam/build"
AUTHORIZER: Final = ROOT / ".aws-sam/authorizer"
EDGE: Final = ROOT / "infra/edge/template.yaml"
EVENTS: Final = ROOT / "local/events"
HANDLERS: Final = ("chat.entry", "chat.fanout")
TOKEN: Final = "open-sesame-open-sesame"  # noqa: S105 (no secret: it opens a stack that is gone a minute later)

Clients = Mapping[str, Any]
"""boto3's, by their services' names."""

Resources = Mapping[str, str]
"""What resources are called, by their logical ids."""

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


REFUSED: Final = (
    ({"StageName": "$default"}, "a WebSocket API has no stage $default"),
    ({"ChatToken": ""}, "at least one character, and no spaces"),
    ({"OrderedIngress": "fifo", "ReservedConcurrency": "1"}, "would let handshakes wait for messages"),
    ({"DomainName": "ws.example.com"}, "give both or neither"),
    ({"AuthorizerArn": "tokens"}, "the ARN of a Lambda function"),
)
"""Parameters that make no sense, and what is said of them; the tests of the template have all of them."""


def main() -> int:
    """Deploy, try everything, and return the exit status."""
    for build in (BUILD, AUTHORIZER):
        if not (build / "Package").is_dir():
            print(f"check-stack: there is no {build}; run make build build-authorizer ARCHITECTURE=x86_64, or arm64")
            return 1
    problems: list[str] = []
    for handler in HANDLERS:
        print(f"ok   {handler} imported from the package alone  {cold_import(BUILD / 'Package', handler):.0f} ms")
    with ministack() as endpoint:
        names = ("apigatewayv2", "cloudformation", "dynamodb", "iam", "lambda", "logs", "sqs")
        session: Any = boto3.Session()
        clients = {name: session.client(name, endpoint_url=endpoint) for name in names}
        problems += plain(clients, endpoint)
        problems += with_everything(clients, endpoint)
        problems += refusals(clients["cloudformation"])
        for stack in ("ordered", "chat", "authorizer"):
            problems += attempt(f"delete {stack}", partial(delete, clients, stack))
    print("\n".join(problems) or "everything is as expected")
    return bool(problems)


def plain(clients: Clients, endpoint: str) -> list[str]:
    """Try the template as it is, and return what is wrong."""
    deploy("chat", BUILD)
    resources = look_up(clients, "chat")
    url = put_right(clients, resources, endpoint)
    problems = []
    for name, exchange in {
        "greeting": exchanges.greeting,
        "echo": exchanges.echo,
        "broadcast and disconnect": exchanges.broadcast_and_disconnect,
    }.items():
        problems += attempt(name, partial(asyncio.run, exchange(url)))
    reap = partial(expire, clients, resources["ReaperFunction"], resources["ConnectionsTable"])
    problems += attempt("ReaperFunction with an expiry", partial(asyncio.run, exchanges.expiry(url, reap)))
    for function, name, expected in EXPECTED:
        event = (EVENTS / name).read_bytes()
        answer = partial(invoke, clients["lambda"], resources[function], event, expected)
        problems += attempt(f"{function} with {name}", answer)
    return problems + attempt("nothing that no policy allows", partial(denied, clients, resources))


def with_everything(clients: Clients, endpoint: str) -> list[str]:
    """Try an authorizer and the FIFO queue, and deploy the edge in front; return what is wrong.

    Without an AlarmAddress: MiniStack makes no alarm of several metrics.
    """
    deploy("authorizer", AUTHORIZER, SharedToken=TOKEN)
    deploy(
        "ordered",
        BUILD,
        AllowedOrigins="https://chat.example.com",
        AuthorizerArn=outputs(clients, "authorizer")["AuthorizerArn"],
        LogRetentionDays="7",
        OrderedIngress="fifo",
        ReservedConcurrency="20",
    )
    resources = look_up(clients, "ordered")
    url = put_right(clients, resources, endpoint)
    integrations = clients["apigatewayv2"].get_integrations(ApiId=resources["WebSocketApi"])["Items"]
    [integration] = [each for each in integrations if each["IntegrationType"] == "AWS"]
    forward = exchanges.forwarder(integration, endpoint)
    problems = attempt("authorizer", partial(asyncio.run, exchanges.authorization(url, TOKEN)))
    problems += attempt("FIFO queue", partial(asyncio.run, exchanges.order(url, TOKEN, forward)))
    problems += attempt("API Gateway's role for the queue", partial(sends_only_there, clients, resources))
    return problems + attempt("edge deployed", partial(edge, clients, outputs(clients, "ordered")))


def refusals(cloudformation: Any) -> list[str]:
    """Try parameters that make no sense, and return which of them were taken or refused without words."""
    # As `sam deploy` has packaged it.
    body = cloudformation.get_template(StackName="chat", TemplateStage="Original")["TemplateBody"]
    problems = []
    for parameters, says in REFUSED:
        named = ", ".join(f"{name}={value}" for name, value in parameters.items())
        problems += attempt(f"refused: {named}", partial(refuses, cloudformation, body, parameters, says))
    return problems


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
        AUTH="true",
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


def deploy(stack: str, build: Path, **parameters: str) -> None:
    """Deploy a built template as whoever has an account would."""
    command: list[str | Path] = [
        *(BIN / "sam", "deploy", "--template-file", build / "template.yaml", "--stack-name", stack, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset"),
    ]
    if parameters:
        command += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode:
        lines = done.stdout.splitlines() + done.stderr.splitlines()
        failed = [line for line in lines if "FAILED" in line] or lines[-20:]
        raise RuntimeError("\n".join((f"sam deploy of {stack} failed:", *failed)))
    print(f"ok   sam deploy {stack}  {time.perf_counter() - started:.1f} s")


def delete(clients: Clients, stack: str) -> None:
    """Delete a stack, and expect nothing of it to be left.

    Not by `sam delete`, which wouldn't understand the address that MiniStack's S3 has.
    """
    clients["cloudformation"].delete_stack(StackName=stack)
    waiter = clients["cloudformation"].get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    names = [
        *(function["FunctionName"] for function in clients["lambda"].list_functions()["Functions"]),
        *(url.rpartition("/")[2] for url in clients["sqs"].list_queues().get("QueueUrls", [])),
        *clients["dynamodb"].list_tables()["TableNames"],
        *(role["RoleName"] for role in clients["iam"].list_roles()["Roles"]),
        *(policy["PolicyName"] for policy in clients["iam"].list_policies(Scope="Local")["Policies"]),
    ]
    groups = clients["logs"].describe_log_groups(logGroupNamePrefix=f"/gatesocket/{stack}/")["logGroups"]
    left = [name for name in names if name.startswith(f"{stack}-")] + [group["logGroupName"] for group in groups]
    expect([], left)


def look_up(clients: Clients, stack: str) -> Resources:
    """Return what a stack's resources are called."""
    resources = clients["cloudformation"].describe_stack_resources(StackName=stack)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def outputs(clients: Clients, stack: str) -> dict[str, str]:
    """Return a stack's outputs."""
    [described] = clients["cloudformation"].describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def put_right(clients: Clients, resources: Resources, endpoint: str) -> str:
    """Correct what MiniStack makes of a template otherwise than CloudFormation; return where WebSockets connect."""
    address = f"{endpoint}/_aws/execute-api/{resources['WebSocketApi']}/prod"
    for logical_id, name in resources.items():
        if logical_id.endswith("Function"):
            # Its Management API has another address than the one in AWS, which the template gives the functions.
            variables = clients["lambda"].get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            variables["GATESOCKET_ENDPOINT"] = address
            clients["lambda"].update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    api = resources["WebSocketApi"]
    for authorizer in clients["apigatewayv2"].get_authorizers(ApiId=api)["Items"]:
        # It makes a header the identity source of an authorizer that has none, and is then asked for every handshake.
        clients["apigatewayv2"].update_authorizer(ApiId=api, AuthorizerId=authorizer["AuthorizerId"], IdentitySource=[])
    return address.replace("http", "ws", 1)


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


def denied(clients: Clients, resources: Resources) -> None:
    """Take the table's policy from a function, and expect that it can't let anybody in until it has it back."""
    function, event = resources["WebSocketFunction"], (EVENTS / "connect.json").read_bytes()
    policy = {
        "RoleName": clients["lambda"].get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2],
        "PolicyArn": resources["KeepConnections"],
    }
    clients["iam"].detach_role_policy(**policy)
    invoke(clients["lambda"], function, event, {"statusCode": 500})
    clients["iam"].attach_role_policy(**policy)
    invoke(clients["lambda"], function, event, {"statusCode": 200})


def sends_only_there(clients: Clients, resources: Resources) -> None:
    """Ask IAM what the role may do by which API Gateway fills the queue: send to it, and nothing else."""
    role = clients["iam"].get_role(RoleName=resources["IngressRole"])["Role"]
    expect({"Service": "apigateway.amazonaws.com"}, role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"])
    url = resources["MessageQueue"]
    queue = clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for action, resource, decision in (
        ("sqs:SendMessage", queue, "allowed"),
        ("sqs:SendMessage", f"{queue}x", "implicitDeny"),
        ("sqs:ReceiveMessage", queue, "implicitDeny"),
    ):
        answer = clients["iam"].simulate_principal_policy(
            PolicySourceArn=role["Arn"], ActionNames=[action], ResourceArns=[resource]
        )
        expect(decision, answer["EvaluationResults"][0]["EvalDecision"])


def edge(clients: Clients, of_stack: Mapping[str, str]) -> None:
    """Deploy the edge in front of a stack, and expect its outputs to be named as the stack's."""
    parameters = [{"ParameterKey": name, "ParameterValue": of_stack[name]} for name in ("WebSocketUrl", "HttpUrl")]
    body = EDGE.read_text(encoding="utf-8")
    clients["cloudformation"].create_stack(StackName="edge", TemplateBody=body, Parameters=parameters)
    waiter = clients["cloudformation"].get_waiter("stack_create_complete")
    waiter.wait(StackName="edge", WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    expect({"WebSocketUrl", "HttpUrl", "DistributionDomainName"}, set(outputs(clients, "edge")))


def refuses(cloudformation: Any, body: str, parameters: Mapping[str, str], says: str) -> None:
    """Expect that a deployment with *parameters* is refused before anything is made, with words."""
    try:
        cloudformation.create_stack(
            StackName="refused",
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
    except ClientError as error:
        if says not in str(error):
            raise
    else:
        raise RuntimeError("they were taken")


if __name__ == "__main__":
    sys.exit(main())
