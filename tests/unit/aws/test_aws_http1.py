"""HTTP/1.1 as bytes: requests held against h11, responses cut at every place."""

from collections.abc import Iterator

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.aws.http1 import BODY_BYTES, BadResponse, Response, ResponseParser, encode_request

TOKENS = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True).filter(
    lambda name: name not in {"content-length", "transfer-encoding", "connection", "host", "expect"}
)
VALUES = st.from_regex(r"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True)
HEADERS = st.dictionaries(TOKENS, VALUES, max_size=4)
BODIES = st.binary(max_size=200)
CUTS = st.lists(st.integers(1, 40), max_size=30)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut *data* as a network might."""
    for size in cuts:
        yield data[:size]
        data = data[size:]
    yield data


def read(data: bytes, cuts: list[int] | None = None, *, parser: ResponseParser | None = None) -> Response | None:
    """Return the response of *data*, fed in pieces; nothing may be complete before the last."""
    parser = parser or ResponseParser()
    answer = None
    for piece in pieces(data, cuts or []):
        assert answer is None or not piece
        if piece:
            answer = parser.feed(piece)
    return answer


# Requests.


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=VALUES.map(lambda text: "/" + text.replace(" ", "")),
    headers=HEADERS,
    body=BODIES,
)
def test_a_request_is_one_that_h11_reads(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(encode_request(method, path, {"host": "h", **headers}, body))

    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (method.encode(), path.encode())
    sent = {name.decode(): value.decode() for name, value in request.headers}
    assert sent == {"host": "h", **headers, "content-length": str(len(body))}
    received = b""
    while isinstance(event := server.next_event(), h11.Data):
        received += event.data
    assert (received, type(event)) == (body, h11.EndOfMessage)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_value_can_not_begin_a_line_of_its_own(value: str) -> None:
    with pytest.raises(ValueError, match="'x-token' can't be sent: it has a line break") as caught:
        encode_request("GET", "/", {"x-token": value}, b"")
    assert "evil" not in str(caught.value)


# Responses.


@given(
    status=st.integers(200, 599).filter(lambda status: status not in {204, 304}),
    headers=HEADERS,
    body=BODIES,
    cuts=CUTS,
)
def test_a_response_is_the_same_wherever_it_is_cut(
    status: int, headers: dict[str, str], body: bytes, cuts: list[int]
) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    server.next_event()
    lines = [*headers.items(), ("content-length", str(len(body)))]
    data = server.send(h11.Response(status_code=status, headers=lines)) or b""
    data += (server.send(h11.Data(data=body)) or b"") + (server.send(h11.EndOfMessage()) or b"")

    parser = ResponseParser()

    assert read(data, cuts, parser=parser) == Response(status, dict(lines), body)
    assert parser.keeps


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5), cuts=CUTS, trailer=st.booleans())
def test_chunks_make_one_body_wherever_they_are_cut(chunks: list[bytes], cuts: list[int], *, trailer: bool) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%X;name=value\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    data += b"0\r\nx-checksum: 1\r\n\r\n" if trailer else b"0\r\n\r\n"

    parser = ResponseParser()
    answer = read(data, cuts, parser=parser)

    assert answer is not None
    assert (answer.body, parser.keeps) == (b"".join(chunks), True)


@given(body=BODIES, cuts=CUTS)
def test_a_body_of_no_known_length_ends_with_the_connection(body: bytes, cuts: list[int]) -> None:
    parser = ResponseParser()
    assert parser.end() is None
    assert read(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts, parser=parser) is None
    assert parser.end() == Response(200, {}, body)
    assert not parser.keeps


def test_a_body_that_is_cut_short_is_no_response() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell") is None
    assert parser.end() is None


def test_interim_responses_are_skipped() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    assert read(data) == Response(204, {}, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body_whatever_the_headers_say(status: int) -> None:
    answer = read(b"HTTP/1.1 %d X\r\nContent-Length: 7\r\n\r\n" % status)
    assert answer is not None
    assert answer.body == b""


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\nz", False),
    ],
)
def test_a_connection_is_kept_unless_the_server_closes_it_or_says_more_than_was_asked(
    data: bytes, *, keeps: bool
) -> None:
    parser = ResponseParser()
    assert parser.feed(data) is not None
    assert parser.keeps is keeps


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<html>\r\n\r\n", "expected an HTTP/1.1 response, but got '<html>'"),
        (b"HTTP/2 200 OK\r\n\r\n", "expected an HTTP/1.1 response"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "expected an HTTP/1.1 response"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "expected a header, but got 'no colon'"),
        (b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "expected a header"),
        (b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n", "expected a header, but got 'name : x'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "expected the body's length, but got '-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "expected the body's length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "expected a chunked body or one of a known"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "expected a chunked body or"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "expected the size of a chunk, but got b'-1'"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "expected the end of a chunk of 1 bytes",
        ),
    ],
)
def test_what_is_no_response_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(BadResponse, match=expected):
        ResponseParser().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + b"x" * 64 + b"\r\n40\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20,
    ],
    ids=["head", "length", "until close", "chunk", "chunks", "extension", "trailers"],
)
def test_nothing_is_kept_without_a_bound(data: bytes) -> None:
    with pytest.raises(BadResponse, match="at most 100 bytes"):
        ResponseParser(head_bytes=100, body_bytes=100).feed(data)


def test_dynamodbs_largest_answer_fits() -> None:
    """16 MB, a third longer where all of it is bytes, in base64."""
    assert BODY_BYTES > 16 * 1024 * 1024 * 4 / 3
