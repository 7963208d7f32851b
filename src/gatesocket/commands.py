"""The commands of ``gatesocket``; what takes time to import is imported by the command that needs it."""

import json
import secrets
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl

import typer

from gatesocket.exceptions import CannotHibernate, ConfigurationError
from gatesocket.importing import load_app

if TYPE_CHECKING:
    from gatesocket.emulator.dev import Options
    from gatesocket.emulator.samples import SampleConnection
    from gatesocket.events import WebSocketEvent

__all__ = ["application"]

application = typer.Typer(
    help="FastAPI WebSocket routes on API Gateway WebSocket APIs and AWS Lambda.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_Template = Annotated[Path, typer.Option(help="The SAM template to run.")]
_Host = Annotated[str, typer.Option(help="The address to listen on.")]
_Port = Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)]
_Region = Annotated[str, typer.Option(help="The AWS region to pretend to be in.")]
_Reload = Annotated[bool, typer.Option("--reload/--no-reload", help="Start anew when code or template change.")]
_Runtimes = Annotated[
    int | None,
    typer.Option(
        min=1, help="Run each function in up to this many processes, as Lambda does.", show_default="in this one"
    ),
]
_Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", metavar="NAME=VALUE", help="A value for a template parameter.")
]
_Endpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="[FUNCTION=]URL",
        help="Where functions run instead, as by `sam local start-lambda`: all of them, or the one named.",
    ),
]
_Chaos = Annotated[
    bool,
    typer.Option(
        "--chaos", help="Make trouble: duplicate, delay, overtake, lose, throttle and kill, as the platform may."
    ),
]
_Seed = Annotated[
    int | None,
    typer.Option(help="Make the same trouble as another run with this number.", show_default="another each time"),
]
_QuirkPairs = Annotated[
    list[str] | None,
    typer.Option(
        "--quirk",
        metavar="NAME=VALUE",
        help="What API Gateway does where nobody outside AWS knows; docs/emulator.md has the list.",
    ),
]
_Plain = Annotated[bool, typer.Option("--plain", help="Log lines, although a screen could be drawn.")]
_Record = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write each Lambda event into a file of this directory.")
]
_App = Annotated[
    str | None,
    typer.Option(metavar="MODULE:APP", help="The ASGI app.", show_default="the template's Metadata: Gatesocket: App"),
]
_AppDir = Annotated[
    Path | None, typer.Option(help="The directory to import the app from.", show_default="the functions' code")
]


class Mode(StrEnum):
    """Which of an app's lives to run."""

    GATEWAY = "gateway"
    """The cloud's: an emulated API Gateway and Lambda functions."""
    UVICORN = "uvicorn"
    """The plain one: the app under uvicorn, in one process."""


@application.command()
def dev(
    *,
    template: _Template = Path("template.yaml"),
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    mode: Annotated[Mode, typer.Option(help="Which life of the app to run.")] = Mode.GATEWAY,
    runtimes: _Runtimes = None,
    endpoint: _Endpoints = None,
    reload: _Reload = True,
    region: _Region = "us-east-1",
    parameter: _Parameters = None,
    record: _Record = None,
    chaos: _Chaos = False,
    seed: _Seed = None,
    quirk: _QuirkPairs = None,
    plain: _Plain = False,
    app: _App = None,
    app_dir: _AppDir = None,
) -> None:
    """Run the app and all that its template asks for on this machine, and print the address."""
    from gatesocket.emulator.dev import Options  # noqa: PLC0415
    from gatesocket.emulator.quirks import settle  # noqa: PLC0415

    options = Options(
        template,
        _pairs(parameter, "a parameter"),
        region,
        runtimes,
        with_edge=True,
        endpoints=_endpoints(endpoint),
        record=record,
        chaos=_seed(seed, chaos=chaos),
        quirks=settle(_pairs(quirk, "a quirk")),
        plain=plain,
    )
    if mode is Mode.UVICORN:
        _run_app(options, app, app_dir, host, port, reload=reload)
    else:
        _run_stack(options, host, port, reload=reload)


@application.command()
def emulate(
    template: Annotated[Path, typer.Argument(help="The SAM template to run.")],
    *,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    runtimes: _Runtimes = None,
    endpoint: _Endpoints = None,
    reload: _Reload = True,
    region: _Region = "us-east-1",
    parameter: _Parameters = None,
    record: _Record = None,
    chaos: _Chaos = False,
    seed: _Seed = None,
    quirk: _QuirkPairs = None,
    plain: _Plain = False,
) -> None:
    """Run the WebSocket API of any SAM template with Python functions, as API Gateway would."""
    from gatesocket.emulator.dev import Options  # noqa: PLC0415
    from gatesocket.emulator.quirks import settle  # noqa: PLC0415

    options = Options(
        template,
        _pairs(parameter, "a parameter"),
        region,
        runtimes,
        with_edge=False,
        endpoints=_endpoints(endpoint),
        record=record,
        chaos=_seed(seed, chaos=chaos),
        quirks=settle(_pairs(quirk, "a quirk")),
        plain=plain,
    )
    _run_stack(options, host, port, reload=reload)


@application.command()
def check(
    app: Annotated[str, typer.Argument(metavar="MODULE:APP", help="The ASGI app.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    app_dir: Annotated[Path, typer.Option(help="The directory to import the app from.")] = Path(),
) -> None:
    """Say what of an app's WebSocket routes would not survive hibernation; exit with 1 if anything."""
    from gatesocket.hibernation import check as check_app  # noqa: PLC0415

    report = check_app(load_app(app, app_dir))
    typer.echo(report.to_json() if as_json else str(report))
    if report.findings:
        raise typer.Exit(1)


@application.command("compile")
def compile_app(
    app: Annotated[str, typer.Argument(metavar="MODULE:APP", help="The ASGI app.")],
    *,
    app_dir: Annotated[
        Path, typer.Option(help="The directory to import the app from, whose files are written beside.")
    ] = Path(),
) -> None:
    """Keep beside its byte code what an app's functions are transformed to, so that cold starts needn't do it."""
    from gatesocket.hibernation.precompile import precompile  # noqa: PLC0415

    written = precompile(load_app(app, app_dir), app_dir)
    for file, functions in written.items():
        typer.echo(f"{file}: {functions} function{'s' * (functions != 1)}")
    if not written:
        typer.echo(f"nothing to keep: none of the functions in {app_dir} waits for a client")


class Part(StrEnum):
    """What a stack may have besides its WebSocket API."""

    HTTP = "http"
    """An HTTP API, and the function behind it."""
    JOBS = "jobs"
    """A queue for background jobs, and the function that runs them."""
    BROADCASTS = "broadcasts"
    """A queue for large broadcasts, and the function that takes part in them."""


@application.command()
def init(
    app: Annotated[str, typer.Argument(metavar="MODULE:APP", help="The ASGI app.")],
    *,
    app_dir: Annotated[Path, typer.Option(help="The directory to import the app from.")] = Path(),
    directory: Annotated[Path, typer.Option(help="The project's own, where template and tests belong.")] = Path(),
    name: Annotated[
        str | None, typer.Option(help="What the stack is called.", show_default="the app's package, or the directory")
    ] = None,
    parts: Annotated[
        list[Part] | None, typer.Option("--with", help="What the stack has although the app doesn't use it yet.")
    ] = None,
    attempt: Annotated[
        bool, typer.Option("--try/--no-try", help="Open each WebSocket route once, so that the test fits it.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are in the way.")] = False,
) -> None:
    """Write Lambda entry points, a SAM template and a first test for an app; exit with 1 if it can't hibernate."""
    from gatesocket.scaffold.begin import begin  # noqa: PLC0415

    found = load_app(app, app_dir)
    try:
        report = begin(found, app, directory, name=name, parts=parts or (), attempt=attempt, force=force)
    except CannotHibernate as error:
        typer.echo(str(error))
        typer.echo("nothing was written: what can't hibernate can't run on Lambda", err=True)
        raise typer.Exit(1) from error
    typer.echo(report)


events = typer.Typer(help="Print a sample event as JSON, as for `sam local invoke -e -`.", no_args_is_help=True)
application.add_typer(events, name="event")

_ConnectionId = Annotated[str | None, typer.Option(help="The connection's id.", show_default="the same in each call")]
_Stage = Annotated[str, typer.Option(help="The API's stage.")]


@events.command("connect")
def print_connect(
    url: Annotated[str, typer.Argument(help="Path and query of the connection's URL, as in /ws/lobby?name=ann.")] = "",
    *,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header of the client's handshake.")
    ] = None,
    connection_id: _ConnectionId = None,
    stage: _Stage = "prod",
) -> None:
    """Print the event of a handshake."""
    _print(_sample(connection_id, stage, url=url, headers=header or []).connect)


@events.command("message")
def print_message(
    text: Annotated[str, typer.Argument(help="The message.")],
    *,
    route_key: Annotated[str | None, typer.Option(help="The route that it goes to.", show_default="$default")] = None,
    connection_id: _ConnectionId = None,
    stage: _Stage = "prod",
) -> None:
    """Print the event of a message."""
    _print(_sample(connection_id, stage, route_key=route_key).message(text))


@events.command("disconnect")
def print_disconnect(
    *,
    code: Annotated[
        int | None, typer.Option(help="The client's close code.", show_default="none, of a connection that broke")
    ] = None,
    reason: Annotated[str, typer.Option(help="The client's reason.")] = "",
    connection_id: _ConnectionId = None,
    stage: _Stage = "prod",
) -> None:
    """Print the event of a connection's end."""
    _print(_sample(connection_id, stage).disconnect(code, reason))


def _pairs(given: list[str] | None, what: str) -> dict[str, str]:
    pairs = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"{what} is given as NAME=VALUE; got {text!r}")
        pairs[name] = value
    return pairs


def _seed(seed: int | None, *, chaos: bool) -> int | None:
    """Return the seed of the trouble; None for none."""
    if not chaos:
        if seed is not None:
            raise ConfigurationError("--seed is for --chaos; give both, or neither")
        return None
    return secrets.randbelow(1_000_000) if seed is None else seed


def _endpoints(given: list[str] | None) -> dict[str, str]:
    """Read ``URL`` as that of every function, ``NAME=URL`` as that of one."""
    endpoints = {}
    for text in given or []:
        function, equals, url = text.rpartition("=")
        endpoints[function if equals else "*"] = url
    return endpoints


def _sample(
    connection_id: str | None,
    stage: str,
    *,
    url: str = "",
    headers: Sequence[str] = (),
    route_key: str | None = None,
) -> "SampleConnection":
    from gatesocket.clock import milliseconds  # noqa: PLC0415
    from gatesocket.emulator import edge  # noqa: PLC0415
    from gatesocket.emulator.events import Handshake  # noqa: PLC0415
    from gatesocket.emulator.samples import SAMPLE_CONNECTION, SampleConnection  # noqa: PLC0415

    path, _, query = url.partition("?")
    if path:
        _, query = edge.rewrite(path, query, stage=stage)
    handshake = Handshake(tuple(map(_header, headers)), tuple(parse_qsl(query, keep_blank_values=True)), "192.0.2.1")
    return SampleConnection(
        handshake,
        connection_id=connection_id or SAMPLE_CONNECTION,
        stage=stage,
        route_key=route_key,
        now=milliseconds(),
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ConfigurationError(f"a header is given as NAME:VALUE; got {text!r}")
    return name.strip(), value.strip()


def _print(event: "WebSocketEvent") -> None:
    typer.echo(json.dumps(event, indent=2))


def _run_stack(options: "Options", host: str, port: int, *, reload: bool) -> None:
    from gatesocket.emulator.dev import bind, run, supervise  # noqa: PLC0415

    with bind(host, port) as listening:
        if reload:
            supervise(options, listening)
        else:
            run(options, [listening])


def _run_app(options: "Options", app: str | None, app_dir: Path | None, host: str, port: int, *, reload: bool) -> None:
    """Run an app under uvicorn; what isn't said of it is taken from the template."""
    import uvicorn  # noqa: PLC0415
    from uvicorn.supervisors import ChangeReload  # noqa: PLC0415

    from gatesocket.emulator.dev import bind  # noqa: PLC0415

    if app is None or app_dir is None:
        from gatesocket.emulator.template import load  # noqa: PLC0415

        template = load(options.template, region=options.region, parameters=options.parameters)
        app, app_dir = app or template.app, app_dir or next(iter(template.code.values()), Path())
    if app is None:
        raise ConfigurationError(
            f"{options.template} doesn't say which app to run: add Metadata: Gatesocket: App: module:app, or give --app"
        )
    load_app(app, app_dir)
    config = uvicorn.Config(app, ws="websockets-sansio", reload=reload, reload_dirs=[str(app_dir)] if reload else None)
    with bind(host, port) as listening:
        typer.echo(f"\n  {app} runs under uvicorn at http://{host}:{listening.getsockname()[1]}/. Ctrl+C ends it.\n")
        server = uvicorn.Server(config)
        if reload:
            ChangeReload(config, target=server.run, sockets=[listening]).run()
        else:
            server.run(sockets=[listening])
