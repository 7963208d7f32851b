"""Registries and gateway clients of every kind, over real HTTP servers on this machine."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from gatesocket.registry.base import Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.memory import MemoryRegistry
from support import dynamodb
from support.management import ManagementServer, connect, lean, management_server
from support.table import create_table

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb import DynamoDBClient

    from gatesocket.aws import AWSClient

TABLES = count(1)


def client_of(server: Callable[[], AbstractContextManager[str]]) -> Iterator["DynamoDBClient"]:
    """Run a stand-in for DynamoDB, and give a client of it."""
    with server() as url:
        client = dynamodb.connect(url)
        yield client
        client.close()


@pytest.fixture(scope="session")
def moto_client() -> Iterator["DynamoDBClient"]:
    yield from client_of(dynamodb.moto)


@pytest.fixture(scope="session")
def dynalite_client() -> Iterator["DynamoDBClient"]:
    yield from client_of(dynamodb.dynalite)


@pytest.fixture(scope="session")
def ministack_client() -> Iterator["DynamoDBClient"]:
    yield from client_of(dynamodb.ministack)


@pytest.fixture(scope="session")
def dynamodb_local_client() -> Iterator["DynamoDBClient"]:
    yield from client_of(dynamodb.dynamodb_local)


@pytest.fixture(
    params=[
        "moto",
        "dynalite",
        pytest.param("ministack", marks=pytest.mark.slow),
        pytest.param("dynamodb_local", marks=pytest.mark.slow),
    ]
)
def client(request: pytest.FixtureRequest) -> "DynamoDBClient":
    """A client of each stand-in for DynamoDB in turn."""
    found: DynamoDBClient = request.getfixturevalue(f"{request.param}_client")
    return found


@pytest.fixture
def table(client: "DynamoDBClient") -> str:
    """An empty table of the test's own."""
    name = f"connections-{next(TABLES)}"
    create_table(client, name)
    return name


@pytest.fixture
def moto_table(moto_client: "DynamoDBClient") -> str:
    """An empty table of the test's own, in moto's server."""
    name = f"connections-{next(TABLES)}"
    create_table(moto_client, name)
    return name


@pytest.fixture(
    params=[
        "memory",
        # Each client and each server once; the other pairs in the long suites.
        "boto3:moto",
        "asyncio:dynalite",
        *(
            pytest.param(pair, marks=pytest.mark.slow)
            for pair in ("asyncio:moto", "boto3:dynalite", "asyncio:ministack", "asyncio:dynamodb_local")
        ),
    ]
)
async def make_registry(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Registry]]:
    """What makes a registry of each kind in turn, with the options given: each AWS client with each server."""
    kind, _, server = request.param.partition(":")
    if kind == "memory":
        yield MemoryRegistry
        return
    boto3: DynamoDBClient = request.getfixturevalue(f"{server}_client")
    lean_client = dynamodb.lean(boto3.meta.endpoint_url)
    client = boto3 if kind == "boto3" else lean_client

    def make(**options: Any) -> Registry:
        name = f"connections-{next(TABLES)}"
        create_table(boto3, name)
        return DynamoDBRegistry(name, client=client, **options)

    yield make
    await lean_client.aclose()


@pytest.fixture
def registry(make_registry: Callable[..., Registry]) -> Registry:
    """An empty registry of each kind in turn."""
    return make_registry()


@pytest.fixture
def management() -> Iterator[ManagementServer]:
    """The Management API of an emulated stage."""
    with management_server() as server:
        yield server


@pytest.fixture
def management_client(management: ManagementServer) -> Iterator["ApiGatewayManagementApiClient"]:
    client = connect(management.url)
    yield client
    client.close()


@pytest.fixture(params=["boto3", "asyncio"])
async def management_caller(
    request: pytest.FixtureRequest, management: ManagementServer
) -> AsyncIterator["AWSClient | ApiGatewayManagementApiClient"]:
    """What calls the Management API, of each kind in turn."""
    if request.param == "boto3":
        yield request.getfixturevalue("management_client")
    else:
        client = lean(management.url)
        yield client
        await client.aclose()
