"""Runs a stack for a developer: says where it is, and starts it anew when the code changes."""

import asyncio
import errno
import functools
import logging
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

import uvicorn
from rich.console import Console
from uvicorn.supervisors.statreload import StatReload

from gatesocket.emulator import functions, log
from gatesocket.emulator.activity import all_of
from gatesocket.emulator.display import Display
from gatesocket.emulator.edge import PATH_PARAMETER
from gatesocket.emulator.quirks import Quirks
from gatesocket.emulator.recorder import Recorder
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load
from gatesocket.exceptions import ConfigurationError

__all__ = ["Options", "Reloader", "bind", "run", "supervise"]

FAILED: Final = 2
"""Exit status of a stack that can't be started as it is configured."""

LEFT: Final = 1
"""Exit status of a stack that has left a function behind."""

END_SECONDS: Final = 10
"""How long a stack may take to end, once its server has."""

BACKLOG: Final = 2048
"""How many clients can wait; uvicorn's own number."""

logger = logging.getLogger("gatesocket.emulator")

_ORIGIN: Final = log.Origin()

_end_process: Final = os._exit
"""As it is before functions are kept from calling it, by `exits.survived`."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a developer can choose."""

    template: Path
    parameters: Mapping[str, str]
    region: str
    runtimes: int | None
    """Processes for each function; None runs functions in this process."""
    with_edge: bool
    """Whether a WebSocket can be opened on any path, as through the deployed edge."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Logical id of a function, or ``*``, -> the URL of the Lambda endpoint that runs it."""
    chaos: int | None = None
    """The seed of faults that are made on purpose; None makes none."""
    plain: bool = False
    """Whether to log lines although there is a terminal to draw a screen on."""
    record: Path | None = None
    """A directory for the functions' events; None keeps none."""
    quirks: Quirks = field(default_factory=Quirks)
    """What was settled of API Gateway's unknowns."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on *host* and *port*; port 0 takes a free one.

    Raises:
        ConfigurationError: that isn't possible; usually the port is in use.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # From now on clients wait for the stack instead of being refused.
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        remedy = "End what uses it, or choose another port: --port"
        if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            remedy = "Name an address of this machine: --host"
        raise ConfigurationError(f"can't listen on port {port} of {host}: {error}. {remedy}") from error
    listening.set_inheritable(True)
    return listening


def run(options: Options, sockets: list[socket.socket] | None = None, *, serves: Event | None = None) -> None:
    """Run the stack in this process on the one socket of *sockets*, until the process is told to end.

    A stack that can't be started ends the process with the reason, in one line, and status 2; one that can sets
    *serves*. A function that doesn't end with the stack is not waited for.
    """
    assert sockets  # noqa: S101 (optional only in the signature that uvicorn's reloader calls)
    configure_logging()
    late = threading.Timer(END_SECONDS, _give_up)
    late.daemon = True
    try:
        asyncio.run(_run(options, sockets[0], serves, late))
    except ConfigurationError as error:
        fail(error)
    finally:
        late.cancel()
    if functions.hang():
        _leave()


def supervise(options: Options, listening: socket.socket) -> None:
    """Run the stack in a child process, and start it anew whenever its code or its template changes.

    The socket is kept in between, so that a browser which comes back meanwhile waits instead of failing.
    """
    code = set(load(options.template, region=options.region, parameters=options.parameters).code.values())
    # Of a directory that isn't there the stack itself speaks.
    directories = [str(directory) for directory in code if directory.is_dir()]
    config = uvicorn.Config("", reload=True, reload_dirs=directories, log_config=None)
    serves = multiprocessing.get_context("spawn").Event()
    target = functools.partial(run, options, serves=serves)
    reloader = Reloader(config, target, [listening], options.template, serves)
    reloader.run()
    if reloader.failed:
        sys.exit(FAILED)


def configure_logging() -> None:
    """Log what the stack does, and of everything else what is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_ORIGIN)
    logging.getLogger("gatesocket").setLevel(logging.INFO)
    # It logs what it also raises, and warns of its own metrics.
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)


def fail(error: ConfigurationError) -> None:
    """End this process for a reason that is the user's to remedy."""
    sys.stderr.write(f"gatesocket: {error}\n")
    sys.exit(FAILED)


def _give_up() -> None:
    logger.warning("the stack doesn't end: a function holds it up, and is left as it is")
    _leave()


def _leave() -> None:
    """End this process at once: Python would wait for functions that don't end."""
    logging.shutdown()
    sys.stdout.flush()
    _end_process(LEFT)


async def _run(options: Options, listening: socket.socket, serves: Event | None, late: threading.Timer) -> None:
    template = load(options.template, region=options.region, parameters=options.parameters)
    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    display = _display(options)
    stack = Stack(
        template,
        region=options.region,
        gateway_address=address,
        runtimes=options.runtimes,
        endpoints=options.endpoints,
        watch=all_of(display or log.write, *([Recorder(options.record)] if options.record else [])),
        hibernations=True,
        chaos=options.chaos,
        quirks=options.quirks,
    )
    async with stack:
        addresses = _addresses(options, stack, address, template.example)
        text = "".join(f"  {name:<12} {value}\n" for name, value in addresses)
        seed = "" if options.chaos is None else f" With trouble: --chaos --seed {options.chaos}."
        sys.stdout.write(f"\n  Gatesocket runs {options.template}.{seed} Ctrl+C ends it.\n\n{text}\n")
        sys.stdout.flush()
        if serves is not None:
            serves.set()
        with _shown(display, addresses):
            application = Application(stack, with_edge=options.with_edge)
            await Server(application, tls=stack.certificate.context).serve([listening])
        late.start()


def _display(options: Options) -> Display | None:
    """Make the screen; None where lines are logged, as there is no terminal or they are asked for."""
    console = Console()
    return Display(console) if console.is_terminal and not options.plain else None


@contextmanager
def _shown(display: Display | None, addresses: list[tuple[str, str]]) -> Iterator[None]:
    """Show the screen, if there is one, and on it what is logged."""
    if display is None:
        yield
        return
    root = logging.getLogger()
    before = root.handlers[:]
    display.handler.addFilter(_ORIGIN)
    display.show_addresses(addresses)
    root.handlers[:] = [display.handler]
    try:
        with display:
            yield
    finally:
        root.handlers[:] = before


def _addresses(options: Options, stack: Stack, address: str, example: str | None) -> list[tuple[str, str]]:
    stage = stack.api.stage
    root = address.replace("http", "ws", 1)
    websocket = f"{root}/{stage}"
    lines = [("page", f"{address}/")] if stack.resources.http_routes else []
    if options.with_edge:
        lines.append(("WebSocket", f"{root}/<path of the route>"))
        lines.append(("as on AWS", f"{websocket}?{PATH_PARAMETER}=/<path of the route>"))
    else:
        lines.append(("WebSocket", websocket))
    # The client of the websockets package, which lies beside this Python.
    client = Path(sys.executable).with_name("websockets")
    trial = f"{root}{example}" if options.with_edge and example else websocket
    lines.append(("try it", f"{os.path.relpath(client)} '{trial}'"))
    lines.append(("connections", f"{address}/{stage}/@connections/<connection id>"))
    return lines


class Reloader(StatReload):
    """uvicorn's reloader, which also looks at the template and at the stack's process.

    It gives up if the first start fails. A stack that has served and whose process is gone is started anew.

    Args:
        config: which directories to look at, and how often.
        target: runs the stack, in a child process.
        sockets: what it listens on; kept from one child to the next.
        template: the template's file.
        serves: what the stack sets as soon as it serves.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        target: "functools.partial[None]",
        sockets: list[socket.socket],
        template: Path,
        serves: Event,
    ) -> None:
        super().__init__(config, target, sockets)
        self._template = template
        self._serves = serves
        self._told: object = None
        """The process of whose end was told."""
        self._started_anew = False
        self.failed = False
        """Whether the first start failed; the child has said why."""

    def iter_py_files(self) -> Iterator[Path]:
        """Iterate over the files to look at."""
        yield self._template
        yield from super().iter_py_files()

    def should_restart(self) -> list[Path] | None:
        """Wait a moment; return the files that have changed, if any."""
        status = self.process.exitcode
        if status is not None and self._told is not self.process and not self.should_exit.is_set():
            self._told = self.process
            self._ended(status)
        return super().should_restart()

    def restart(self) -> None:
        """End the stack and start it anew."""
        self._started_anew = True
        self._serves.clear()
        super().restart()

    def _ended(self, status: int) -> None:
        """Do what is to be done if the stack's process has ended by itself."""
        if status != FAILED:  # whose reason the stack has said
            what = f"signal {-status}" if status < 0 else f"status {status}"
            then = "It starts anew" if self._serves.is_set() else "Correct what it runs"
            sys.stderr.write(
                f"gatesocket: a function has ended the stack's process, with {what}. {then}; "
                "--runtimes 1 gives each function a process of its own\n"
            )
        if self._serves.is_set():
            self.restart()
        elif not self._started_anew:
            # What can't even be started is not what somebody is editing; later failures wait for the next edit.
            self.failed = True
            self.should_exit.set()
