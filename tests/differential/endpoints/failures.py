"""``try`` in all its forms around, beside and without a receive."""

from fastapi import WebSocket, WebSocketDisconnect
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app


class Refused(Exception):
    def __init__(self, code, reason="no"):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@endpoint("a", "b")
async def tutorial(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            data = await websocket.receive_text()
            await websocket.send_text(f"You wrote: {data}")
    except WebSocketDisconnect:
        fx("left the chat")


@endpoint("a", "b", "c")
async def raise_again_after_waiting_in_the_handler(websocket: WebSocket):
    await websocket.accept()
    try:
        fx(await websocket.receive_text())
        raise Refused(4000)
    except Refused as error:
        fx(await websocket.receive_text())
        fx(await websocket.receive_text(), str(error))
        raise


@endpoint("a", "b")
async def with_finally(websocket: WebSocket):
    await websocket.accept()
    fx("join")
    try:
        while True:
            fx(await websocket.receive_text())
    except WebSocketDisconnect:
        fx("left")
    finally:
        fx("clean up")
    fx("after")


@endpoint("a")
async def finally_without_except(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            fx(await websocket.receive_text())
    finally:
        fx("clean up")


@endpoint("a", "b")
async def bare_except(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            fx(await websocket.receive_text())
    except:
        fx("bare")


@endpoint("a", "b")
async def except_base_exception(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            fx(await websocket.receive_text())
    except BaseException as error:
        fx(type(error).__name__)
        raise
    finally:
        fx("finally")


@endpoint("1", "x", "2")
async def error_in_the_loop(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            fx(int(await websocket.receive_text()))
    except WebSocketDisconnect:
        fx("left")
    except ValueError as error:
        await websocket.send_text(f"error: {error}")
        await websocket.close(1011)


@endpoint("1", "x")
async def error_out_of_the_route(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            fx(int(await websocket.receive_text()))
    finally:
        fx("finally")


@endpoint("a", "b", "c", "d")
async def nested_tries(websocket: WebSocket):
    await websocket.accept()
    try:
        try:
            fx(await websocket.receive_text())
            try:
                fx(await websocket.receive_text())
                raise KeyError("inner")
            except KeyError as error:
                fx("caught", str(error))
            fx(await websocket.receive_text())
            raise Refused(4001)
        except Refused as refused:
            fx(refused.code, refused.reason)
            raise ValueError("outer") from refused
        finally:
            fx("inner finally")
    except ValueError as error:
        fx(str(error), repr(error.__cause__))
    else:
        fx("not reached")
    finally:
        fx("outer finally")


@endpoint("x", "why", "b")
async def receive_in_a_handler(websocket: WebSocket):
    await websocket.accept()
    try:
        int(await websocket.receive_text())
    except ValueError as error:
        reason = await websocket.receive_text()
        fx(str(error), reason, type(error).__name__)
    fx(await websocket.receive_text())


@endpoint("x", "why", "b")
async def receive_in_a_handler_then_raise(websocket: WebSocket):
    await websocket.accept()
    try:
        try:
            int(await websocket.receive_text())
        except ValueError:
            fx(await websocket.receive_text())
            raise
        finally:
            fx("finally")
    except Exception as error:
        fx(type(error).__name__, str(error))
    fx(await websocket.receive_text())


@endpoint("x", "b", "c")
async def own_error_in_a_handler(websocket: WebSocket):
    await websocket.accept()
    try:
        raise Refused(4003, reason=await websocket.receive_text())
    except Refused as error:
        fx(await websocket.receive_text())
        fx(error.code, error.reason, error.args)
    try:
        error
    except NameError:
        fx("error is gone", await websocket.receive_text())


@endpoint("x", "b", "c")
async def handler_without_a_name(websocket: WebSocket):
    await websocket.accept()
    try:
        {}[await websocket.receive_text()]
    except (KeyError, IndexError):
        fx(await websocket.receive_text())
    fx(await websocket.receive_text())


@endpoint("a", "b", "c")
async def receive_in_else(websocket: WebSocket):
    await websocket.accept()
    try:
        fx("body")
    except ValueError:
        fx("never")
    else:
        fx(await websocket.receive_text())
        fx(await websocket.receive_text())
    finally:
        fx("finally")
    fx(await websocket.receive_text())


@endpoint("a", "b", "c")
async def receive_in_body_and_else(websocket: WebSocket):
    await websocket.accept()
    try:
        first = await websocket.receive_text()
    except WebSocketDisconnect:
        fx("never")
    else:
        fx(first, await websocket.receive_text())
    fx(await websocket.receive_text())


@endpoint("a", "b")
async def return_through_finally(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            if await websocket.receive_text() == "b":
                return
    finally:
        await websocket.close(4002)
        fx("closed")


@endpoint("a", "skip", "b", "stop", "c")
async def continue_and_break_through_finally(websocket: WebSocket):
    await websocket.accept()
    while True:
        try:
            text = await websocket.receive_text()
            if text == "skip":
                continue
            if text == "stop":
                break
            fx(text)
        finally:
            fx("finally")
    fx(await websocket.receive_text())


@endpoint("a", 1000)
async def disconnect_code_and_reason(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect as error:
        fx(error.code, error.reason)


@endpoint("a", "b")
async def receive_after_disconnect(websocket: WebSocket):
    await websocket.accept()
    for _ in range(4):
        try:
            fx(await websocket.receive_text())
        except WebSocketDisconnect as error:
            fx("left", error.code)
        except RuntimeError as error:
            fx(str(error))


@endpoint("a")
async def receive_before_accept(websocket: WebSocket):
    try:
        await websocket.receive_text()
    except RuntimeError as error:
        fx(str(error))
    await websocket.accept()
    fx(await websocket.receive_text())


@endpoint("x", "b", "c")
async def loop_over_attempts(websocket: WebSocket):
    await websocket.accept()
    for attempt in range(3):
        try:
            value = int(await websocket.receive_text(), 16)
        except ValueError:
            fx("bad", attempt)
            continue
        else:
            fx("good", value)
            break
    else:
        fx("gave up")
    fx(await websocket.receive_text())


@endpoint("not json", '{"a": 1}')
async def bad_json(websocket: WebSocket):
    await websocket.accept()
    while True:
        try:
            fx(await websocket.receive_json())
        except WebSocketDisconnect:
            break
        except ValueError:
            await websocket.send_json({"error": "bad JSON"})


@endpoint("a", "b")
async def suppressed_error(websocket: WebSocket):
    await websocket.accept()
    try:
        try:
            await websocket.receive_text()
            raise KeyError("k")
        finally:
            fx("inner")
            raise ValueError("v")
    except ValueError as error:
        fx(str(error), repr(error.__context__))
    fx(await websocket.receive_text())


@endpoint("a", "b", "c")
async def assertion(websocket: WebSocket):
    await websocket.accept()
    assert await websocket.receive_text() == "a"
    assert await websocket.receive_text() == "never", f"got {await websocket.receive_text()}"


@endpoint("a")
async def refused_before_accept(websocket: WebSocket):
    fx("refuse")
    await websocket.close(code=1008, reason="no token")


@endpoint("a", "b")
async def error_from_a_function(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive_text()
    fail(await websocket.receive_text())


def fail(text):
    raise Refused(4000, text)
