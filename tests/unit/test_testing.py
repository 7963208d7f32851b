"""The test client: Starlette's where a test can't tell, API Gateway's where the cloud differs."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import pytest
from fastapi import Cookie, FastAPI, Response, WebSocket, WebSocketDisconnect
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from gatesocket import ConfigurationError, ConnectionManager, GatesocketError, RegistryError
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.quirks import Quirks
from gatesocket.registry.base import Busy, Entry, Lease, Taken
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.testing import GatewayTestClient, NothingToReceive

MakeClient = Callable[..., TestClient]


@pytest.fixture(params=[TestClient, GatewayTestClient])
def make_client(request: pytest.FixtureRequest) -> MakeClient:
    chosen: MakeClient = request.param
    return chosen


def make_echo() -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            pass

    return app


class TestAsStarlettesClient:
    """Each of these tests runs with either client, line for line."""

    def test_texts(self, make_client: MakeClient) -> None:
        with make_client(make_echo()).websocket_connect("/ws") as websocket:
            websocket.send_text("one")
            websocket.send_text("two")
            assert websocket.receive_text() == "one"
            assert websocket.receive() == {"type": "websocket.send", "text": "two"}

    def test_json(self, make_client: MakeClient) -> None:
        with make_client(make_echo()).websocket_connect("/ws") as websocket:
            websocket.send_json({"é": [1, None]})
            assert websocket.receive_text() == '{"é":[1,null]}'
            websocket.send_json("x")
            assert websocket.receive_json() == "x"

    def test_a_raw_asgi_message(self, make_client: MakeClient) -> None:
        with make_client(make_echo()).websocket_connect("/ws") as websocket:
            websocket.send({"type": "websocket.receive", "text": "raw"})
            assert websocket.receive_text() == "raw"

    def test_handshake(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/rooms/{room}")
        async def describe(websocket: WebSocket, room: str, session: Annotated[str, Cookie()], q: str = "") -> None:
            await websocket.accept(subprotocol=websocket.scope["subprotocols"][1])
            await websocket.send_json([room, q, session, websocket.headers["x-colour"]])
            await websocket.send_json([websocket.headers["user-agent"], websocket.headers["host"]])
            assert websocket.client is not None
            await websocket.send_text(websocket.client.host)
            await websocket.close()

        client = make_client(app, cookies={"session": "s1"}, headers={"X-Colour": "blue"})
        with client.websocket_connect("/rooms/a%20b?q=1", subprotocols=["v1", "v2"]) as websocket:
            assert str(websocket.accepted_subprotocol) == "v2"
            assert vars(websocket)["extra_headers"] == []  # typed as None
            assert websocket.receive_json() == ["a b", "1", "s1", "blue"]
            assert websocket.receive_json() == ["testclient", "testserver"]
            assert websocket.receive_text() == "testclient"

    def test_the_server_s_close(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def goodbye(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.receive_text()
            await websocket.close()

        with make_client(app).websocket_connect("/ws") as websocket:
            websocket.send_text("go")
            with pytest.raises(WebSocketDisconnect) as closed:
                websocket.receive_text()
            assert closed.value.code == 1000

    @pytest.mark.parametrize("read", ["receive_text", "receive_json", "receive_bytes", "receive", None])
    def test_an_error_of_the_app_is_raised_in_the_test(self, make_client: MakeClient, read: str | None) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def broken(websocket: WebSocket) -> None:
            await websocket.accept()
            raise ValueError(await websocket.receive_text())

        def exchange() -> None:
            with make_client(app).websocket_connect("/ws") as websocket:
                websocket.send_text("boom")
                if read is not None:
                    getattr(websocket, read)()

        with pytest.raises(ValueError, match="boom"):
            exchange()

    def test_an_error_before_the_accept_too(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def broken(websocket: WebSocket) -> None:
            raise ValueError("early")

        with (
            pytest.raises(ValueError, match="early"),
            make_client(app).websocket_connect("/ws"),
        ):
            pytest.fail("the handshake was refused")

    def test_leaving_the_block_closes_with_1000_and_the_route_finishes(self, make_client: MakeClient) -> None:
        app = FastAPI()
        told: list[object] = []

        @app.websocket("/ws")
        async def watch(websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await websocket.receive_text()
            except WebSocketDisconnect as left:
                told.append(left.code)
            finally:
                told.append("finally")

        with make_client(app).websocket_connect("/ws"):
            assert told == []
        assert told == [1000, "finally"]

    def test_a_disconnect_that_the_route_lets_out_is_raised(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def careless(websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.receive_text()

        with pytest.raises(WebSocketDisconnect), make_client(app).websocket_connect("/ws"):
            pass

    def test_closing_with_a_code(self, make_client: MakeClient) -> None:
        app = FastAPI()
        told: list[tuple[int, str]] = []

        @app.websocket("/ws")
        async def watch(websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await websocket.receive_text()
            except WebSocketDisconnect as left:
                told.append((left.code, left.reason))

        with make_client(app).websocket_connect("/ws") as websocket:
            websocket.close(4000, "enough")
        assert told == [(4000, "enough")]

    def test_a_refused_handshake(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def guarded(websocket: WebSocket) -> None:
            await websocket.close(1008, "no token")

        with pytest.raises(WebSocketDisconnect) as refused, make_client(app).websocket_connect("/ws"):
            pytest.fail("the handshake was refused")
        assert (refused.value.code, refused.value.reason) == (1008, "no token")

    def test_a_denial_response(self, make_client: MakeClient) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def guarded(websocket: WebSocket) -> None:
            await websocket.send_denial_response(Response("not you", status_code=401))

        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            make_client(app).websocket_connect("/ws"),
        ):
            pytest.fail("the handshake was refused")
        assert (denied.value.status_code, denied.value.text) == (401, "not you")

    def test_http(self, make_client: MakeClient) -> None:
        app = make_echo()

        @app.get("/items/{item}")
        async def read(item: int) -> dict[str, int]:
            return {"item": item}

        client = make_client(app)
        assert client.get("/items/7").json() == {"item": 7}
        assert client.app is app

    def test_the_lifespan_spans_the_client_s_block_and_its_state_reaches_all_routes(
        self, make_client: MakeClient
    ) -> None:
        told: list[str] = []

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
            told.append("start")
            yield {"greeting": "hello"}
            told.append("stop")

        app = FastAPI(lifespan=lifespan)

        @app.websocket("/ws")
        async def greet(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(websocket.state.greeting)
            await websocket.close()

        @app.get("/")
        async def home() -> list[str]:
            return told

        with make_client(app) as client:
            for _ in range(2):
                with client.websocket_connect("/ws") as websocket:
                    assert websocket.receive_text() == "hello"
            assert client.get("/").json() == ["start"]
        assert told == ["start", "stop"]

    @pytest.mark.parametrize("phase", ["start", "stop"])
    def test_an_error_of_the_lifespan_is_raised_as_it_is(self, make_client: MakeClient, phase: str) -> None:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            if phase == "start":
                raise ValueError("no database")
            yield
            raise ValueError("no database")

        with pytest.raises(ValueError, match="no database"), make_client(FastAPI(lifespan=lifespan)):
            pass


def test_a_start_up_that_the_app_calls_failed_is_a_configuration_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(ConfigurationError, match="no database"), GatewayTestClient(app):
        pytest.fail("the app has not started")


class TestAsApiGateway:
    def test_every_message_is_an_invocation_of_its_own(self) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def tell(websocket: WebSocket) -> None:
            await websocket.accept()
            seen = [websocket.scope["aws.event"]["requestContext"]["eventType"]]
            while len(seen) < 3:
                text = await websocket.receive_text()
                event = websocket.scope["aws.event"]
                assert event["body"] == text
                seen.append(event["requestContext"]["eventType"])
            await websocket.send_json(seen)
            await websocket.close()

        with GatewayTestClient(app).websocket_connect("/ws") as websocket:
            websocket.send_text("one")
            websocket.send_text("two")
            assert websocket.receive_json() == ["CONNECT", "MESSAGE", "MESSAGE"]

    def test_a_route_that_cannot_hibernate_is_refused_when_the_client_is_made(self) -> None:
        with pytest.raises(ConfigurationError):
            GatewayTestClient("not an app")  # type: ignore[arg-type]

    def test_a_receive_that_nothing_can_answer_fails_at_once(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            with pytest.raises(NothingToReceive) as nothing:
                websocket.receive_text()
            where = rf"its route waits at {re.escape(__file__)}:\d+ for websocket\.receive_text\(\)"
            assert re.search(where, str(nothing.value))
            websocket.send_text("x")
            assert websocket.receive_text() == "x"

    def test_after_the_client_s_own_close_as_well(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            websocket.close()
            with pytest.raises(NothingToReceive, match="its route has ended"):
                websocket.receive_text()

    def test_with_a_timeout_a_receive_waits_for_what_another_thread_does(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            sender = threading.Timer(0.01, websocket.send_text, ["late"])
            sender.start()
            assert websocket.receive_text(timeout=10) == "late"
            sender.join()

    def test_and_no_longer(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            with pytest.raises(NothingToReceive, match=r"nothing for 0\.001 s"):
                websocket.receive_text(timeout=0.001)
            with pytest.raises(TimeoutError):
                websocket.receive_json(timeout=0.001)

    def test_bytes_close_the_connection_with_1003(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            websocket.send_bytes(b"\x00")
            assert websocket.receive() == {"type": "websocket.close", "code": 1003, "reason": ""}
            with pytest.raises(WebSocketDisconnect) as closed:
                websocket.receive_bytes()
            assert closed.value.code == 1003

    def test_bytes_go_both_ways_in_the_agreed_form(self) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            for _ in range(2):
                await websocket.send_bytes(await websocket.receive_bytes())
            await websocket.send_text("done")
            await websocket.close()

        client = GatewayTestClient(app, settings=Settings(binary="base64"))
        with client.websocket_connect("/ws") as websocket:
            websocket.send_json([1], mode="binary")
            assert websocket.receive_json(mode="binary") == [1]
            websocket.send_bytes(b"\x00\xff")
            assert websocket.receive_bytes() == b"\x00\xff"
            with pytest.raises(AssertionError, match=r"expected a message of bytes, but got .*done"):
                websocket.receive_bytes()

    def test_the_path_is_carried_as_the_settings_say(self) -> None:
        app = FastAPI()

        @app.websocket("/rooms/{room}")
        async def tell(websocket: WebSocket, room: str) -> None:
            await websocket.accept()
            query = websocket.scope["aws.event"]["queryStringParameters"]
            await websocket.send_json([room, dict(websocket.query_params), query])
            await websocket.close()

        client = GatewayTestClient(app, settings=Settings(path_parameter="p"))
        with client.websocket_connect("/rooms/lobby?q=1") as websocket:
            assert websocket.receive_json() == ["lobby", {"q": "1"}, {"p": "/rooms/lobby", "q": "1"}]

    def test_a_message_after_the_close_is_lost(self) -> None:
        with GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket:
            websocket.send_bytes(b"")
            websocket.send_text("lost")
            assert websocket.receive()["type"] == "websocket.close"
            assert websocket.receive()["type"] == "websocket.close"

    def test_a_refusal_has_the_status_that_a_client_gets_besides(self) -> None:
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            GatewayTestClient(make_echo()).websocket_connect("/elsewhere"),
        ):
            pytest.fail("there is no such route")
        assert (refused.value.status_code, refused.value.code) == (403, 1000)

    def test_a_denial_response_has_the_apps_headers_if_a_quirk_says_so(self) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def route(websocket: WebSocket) -> None:
            denial = Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
            denial.set_cookie("a", "1")
            denial.set_cookie("b", "2")
            await websocket.send_denial_response(denial)

        for carries, cookies in ((False, []), (True, ["a=1; Path=/; SameSite=lax", "b=2; Path=/; SameSite=lax"])):
            client = GatewayTestClient(app, quirks=Quirks(refusal_carries_headers=carries))
            with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
                pass
            assert ("www-authenticate" in refused.value.headers) == carries
            assert refused.value.headers.get_list("set-cookie") == cookies

    def test_a_denial_response_says_in_a_traceback_what_it_is(self) -> None:
        app = FastAPI()

        @app.websocket("/close")
        async def close(websocket: WebSocket) -> None:
            await websocket.close(4003, "no token")

        @app.websocket("/deny")
        async def deny(websocket: WebSocket) -> None:
            await websocket.send_denial_response(Response("not you", status_code=401))

        notes = []
        for path in ("/close", "/deny"):
            with pytest.raises(WebSocketDenialResponse) as refused, GatewayTestClient(app).websocket_connect(path):
                pass
            notes.append(refused.value.__notes__)
        assert notes == [
            ["the handshake was refused with 403", "the app closed it with 4003 no token"],
            ["the handshake was refused with 401 not you"],
        ]

    def test_a_denial_response_has_the_code_that_a_browser_reports(self) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def guarded(websocket: WebSocket) -> None:
            await websocket.send_denial_response(Response(status_code=401))

        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            GatewayTestClient(app).websocket_connect("/ws"),
        ):
            pytest.fail("the handshake was refused")
        assert (refused.value.status_code, refused.value.code, refused.value.reason) == (401, 1006, "")

    def test_what_only_a_server_sends_is_refused(self) -> None:
        with (
            GatewayTestClient(make_echo()).websocket_connect("/ws") as websocket,
            pytest.raises(AssertionError, match=r"expected websocket\.receive or websocket\.disconnect"),
        ):
            websocket.send({"type": "websocket.accept"})

    def test_without_raise_server_exceptions_the_test_sees_what_a_client_would(self) -> None:
        app = FastAPI()

        @app.websocket("/ws/{when}")
        async def broken(websocket: WebSocket, when: str) -> None:
            if when == "early":
                raise ValueError(when)
            await websocket.accept()
            raise ValueError(await websocket.receive_text())

        client = GatewayTestClient(app, raise_server_exceptions=False)
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws/early"):
            pytest.fail("the handshake was refused")
        assert refused.value.status_code == 500
        with client.websocket_connect("/ws/late") as websocket:
            websocket.send_text("boom")
            with pytest.raises(WebSocketDisconnect):
                websocket.receive_text()

    @pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
    @pytest.mark.parametrize("when", ["before the accept", "after it"])
    def test_no_error_is_too_base_to_be_raised_in_the_test(self, error: type[BaseException], when: str) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def broken(websocket: WebSocket) -> None:
            if when == "after it":
                await websocket.accept()
                await websocket.receive_text()
            raise error

        def exchange() -> None:
            with GatewayTestClient(app).websocket_connect("/ws") as websocket:
                websocket.send_text("go")

        with pytest.raises(error):
            exchange()

    def test_a_route_that_does_not_come_back_is_given_up(self) -> None:
        app = FastAPI()

        @app.websocket("/ws")
        async def stuck(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.receive_text()
            await asyncio.Event().wait()

        client = GatewayTestClient(app, function_timeout=0.01)
        with (
            pytest.raises(TimeoutError, match=r"did not answer within 0\.01 s"),
            client.websocket_connect("/ws") as websocket,
        ):
            websocket.send_text("go")

    def test_sessions_and_http_requests_share_connections(self) -> None:
        app = make_chat()
        client = GatewayTestClient(app)
        with client.websocket_connect("/ws/ann") as ann, client.websocket_connect("/ws/bob") as bob:
            ann.send_text("hi")
            assert [ann.receive_text(), bob.receive_text()] == ["ann: hi"] * 2
            assert client.post("/announce").json() == 2
            assert [ann.receive_text(), bob.receive_text()] == ["announcement"] * 2
        assert client.post("/announce").json() == 0

    def test_the_session_that_began_first_may_end_first(self) -> None:
        client = GatewayTestClient(make_chat())
        ann = client.websocket_connect("/ws/ann")
        bob = client.websocket_connect("/ws/bob")
        ann.__enter__()
        bob.__enter__()
        ann.__exit__(None, None, None)
        bob.send_text("still here")
        assert bob.receive_text() == "bob: still here"
        bob.__exit__(None, None, None)

    def test_a_registry_of_one_s_own_can_be_looked_into(self) -> None:
        registry = MemoryRegistry()
        client = GatewayTestClient(make_chat(), registry=registry)
        with client.websocket_connect("/ws/ann") as ann:
            record = client.portal and client.portal.call(registered, registry, ann.connection_id)
            assert record == "ann"

    def test_there_is_a_gateway_only_while_somebody_uses_it(self) -> None:
        client = GatewayTestClient(make_echo())
        with pytest.raises(ConfigurationError, match="use it in a with statement"):
            _ = client.gateway
        with client:
            assert client.gateway.handler.blueprint.routes


async def registered(registry: MemoryRegistry, connection_id: str) -> str | None:
    record = await registry.get(connection_id, now=0)
    return record.user if record else None


def make_chat() -> FastAPI:
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws/{name}")
    async def chat(websocket: WebSocket, name: str) -> None:
        await manager.connect(websocket, user=name)
        try:
            while True:
                await manager.broadcast(f"{name}: {await websocket.receive_text()}")
        except WebSocketDisconnect:
            manager.disconnect(websocket)

    @app.post("/announce")
    async def announce() -> int:
        return (await manager.broadcast("announcement")).sent

    return app


class TestWakes:
    def make_greeter(self) -> FastAPI:
        app = FastAPI()

        @app.websocket("/ws")
        async def greet(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text("welcome")
            with suppress(WebSocketDisconnect):
                await websocket.receive_text()

        return app

    def test_deliver_what_was_sent_before_the_socket_was_live(self) -> None:
        with GatewayTestClient(self.make_greeter()).websocket_connect("/ws") as websocket:
            assert websocket.receive_text() == "welcome"

    def test_that_fail_are_raised_in_the_test(self) -> None:
        class Down(MemoryRegistry):
            async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
                if entry.kind == "wake":
                    raise RegistryError("no such table")
                return await super().take(connection_id, entry, lease, now=now)

        with (
            pytest.raises(GatesocketError, match=r"a wake of connection .* failed"),
            GatewayTestClient(self.make_greeter(), registry=Down()).websocket_connect("/ws") as websocket,
        ):
            websocket.receive_text()

    def test_with_a_delay_come_later_and_are_forgotten_with_the_client(self) -> None:
        with GatewayTestClient(make_echo()) as client:
            waker = client.gateway.backend.waker
            assert waker is not None
            assert client.portal is not None
            with client.websocket_connect("/ws") as websocket:
                client.portal.call(lambda: waker.wake(websocket.connection_id, delay=3600))
                client.portal.call(lambda: waker.wake(websocket.connection_id, delay=1))
                websocket.send_text("meanwhile")
                assert websocket.receive_text() == "meanwhile"
                client.advance(1)
                with pytest.raises(NothingToReceive, match="for 0.01 s"):
                    websocket.receive_text(timeout=0.01)

    def test_that_never_end_are_given_up_with_the_client(self) -> None:
        class Stuck(MemoryRegistry):
            async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
                begun.set()
                await asyncio.Event().wait()
                raise AssertionError("nobody sets this event")

        begun = threading.Event()
        with GatewayTestClient(make_echo(), registry=Stuck()) as client:
            waker = client.gateway.backend.waker
            assert waker is not None
            assert client.portal is not None
            client.portal.call(waker.wake, random_id())
            assert begun.wait(10)

    def test_of_a_connection_that_nobody_knows_do_no_harm(self) -> None:
        with GatewayTestClient(make_echo()) as client:
            waker = client.gateway.backend.waker
            assert waker is not None
            assert client.portal is not None
            client.portal.call(waker.wake, random_id())
            with client.websocket_connect("/ws") as websocket:
                websocket.send_text("x")
                assert websocket.receive_text() == "x"


def test_several_errors_of_a_connection_are_raised_together() -> None:
    class Down(MemoryRegistry):
        async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
            raise RegistryError("no such table")

    def exchange() -> None:
        with GatewayTestClient(make_echo(), registry=Down()).websocket_connect("/ws") as websocket:
            websocket.send_text("one")
            websocket.send_text("two")

    with pytest.raises(ExceptionGroup, match="had 3 errors") as raised:
        exchange()
    assert [type(error) for error in raised.value.exceptions] == [RegistryError] * 3


class TestTimers:
    """Time stands still until the test lets it pass."""

    @staticmethod
    def make_ticker() -> FastAPI:
        app = FastAPI()

        @app.websocket("/ticks")
        async def ticks(websocket: WebSocket) -> None:
            await websocket.accept()
            for number in range(1000):
                await websocket.send_text(f"tick {number}")
                await asyncio.sleep(60)

        @app.websocket("/beats")
        async def beats(websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                try:
                    await websocket.send_text(await asyncio.wait_for(websocket.receive_text(), timeout=45))
                except TimeoutError:
                    await websocket.send_text("still there?")
                except WebSocketDisconnect:
                    return

        return app

    def test_wakes_come_when_they_are_due_and_in_their_order(self) -> None:
        with (
            GatewayTestClient(self.make_ticker()) as client,
            client.websocket_connect("/ticks") as ticks,
            client.websocket_connect("/beats") as beats,
        ):
            assert ticks.receive_text() == "tick 0"
            client.advance(59.9)
            with pytest.raises(NothingToReceive, match=r"for asyncio\.sleep\(60\), at most 0\.1 s that `advance` lets"):
                ticks.receive_text()
            assert beats.receive_text() == "still there?"
            client.advance(0.1)
            assert ticks.receive_text() == "tick 1"
            beats.send_text("yes")
            assert beats.receive_text() == "yes"
            client.advance(44.9)
            with pytest.raises(NothingToReceive):
                beats.receive_text()
            client.advance(0.1)
            assert beats.receive_text() == "still there?"

    def test_hours_are_over_at_once(self) -> None:
        with GatewayTestClient(self.make_ticker()).websocket_connect("/ticks") as websocket:
            client = websocket._client
            client.advance(7200)
            assert [websocket.receive_text() for _ in range(121)] == [f"tick {number}" for number in range(121)]

    def test_short_timers_need_no_time_even_if_the_route_hibernates_for_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gatesocket.run.TIMER_THRESHOLD", 0)
        app = FastAPI()

        @app.websocket("/words")
        async def words(websocket: WebSocket) -> None:
            await websocket.accept()
            for word in ("as", "if", "typed"):
                await websocket.send_text(word)
                await asyncio.sleep(0.9)

        with GatewayTestClient(app).websocket_connect("/words") as websocket:
            assert [websocket.receive_text() for _ in range(3)] == ["as", "if", "typed"]

    def test_a_client_without_a_connection_has_no_time(self) -> None:
        with pytest.raises(ConfigurationError, match="no gateway now"):
            GatewayTestClient(self.make_ticker()).advance(1)
