"""What the names in a function mean, in the process that it runs in.

Which awaits wait for the client depends on the source, and on what its names mean: `points` reads the one and asks this
module about the other. It asks by a *path*, which is what the source says, with classes in the place of parameters::

    manager.broadcast(...)                 manager.broadcast
    websocket.receive_text()               WebSocket().receive_text     websocket: WebSocket
    render.reply_to(user="ann").enqueue()  render.reply_to().enqueue    what the call returns
    self.greet()                           <class>().greet              an instance of the class that it is a method of

A *question* about a path is a method of `Meanings`. Its answer is a plain value: an object never leaves, unless
somebody asks for it by `Meanings.find`, and the passes of hibernation don't. Question and answer are therefore a
*fact*, which can be written down and found true or false in another process::

    ("wait", "WebSocket().receive_text")   3      Wait.SURELY
    ("is_function", "print")               False

The passes are deterministic, and what they know besides the source is the facts: where the same facts are true of the
same source, they would come to the same result. `cache` is built on that. Nothing is run to answer a question.
"""

import asyncio
import builtins
import enum
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, TypeVar, cast, get_origin

from starlette.endpoints import WebSocketEndpoint
from starlette.websockets import WebSocket

from gatesocket.hibernation import cache
from gatesocket.hibernation.codes import NoSource, module_of, original
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.timers import BLOCKS, SLEEPS
from gatesocket.values import frozen

__all__ = [
    "MADE",
    "OWNER",
    "RECEIVES",
    "RETURNED",
    "Known",
    "Meanings",
    "Wait",
    "receives",
    "unwrap",
    "wait_of_function",
]

RECEIVES: Final = frozenset({"receive", "receive_bytes", "receive_json", "receive_text"})

OWNER: Final = "<class>"
"""The path of the class that a function is a method of."""
MADE: Final = "()"
"""What a path ends with that is what a call makes, or an instance of a class."""
RETURNED: Final = "(…)"
"""What a path ends with that is what a call returns, by what the callee says of itself, whosever it is."""


class Wait(enum.IntEnum):
    """How sure it is that something waits for the client."""

    NEVER = 0
    TIME = 1
    """It never does, but it sleeps: it can hibernate, and needn't."""
    MAYBE = 2
    SURELY = 3


@frozen
class Known:
    """What an expression is known to be: *value* itself, or some instance of *value* if *instance*."""

    value: Any
    instance: bool = False

    def attribute(self, name: str) -> "Known | None":
        """Look an attribute up without running a property or a ``__getattr__``."""
        value = self.value
        if isinstance(value, ModuleType):
            return Known(vars(value)[name]) if name in vars(value) else None
        if isinstance(value, FunctionType):
            return None
        try:
            found = inspect.getattr_static(value, name)
        except AttributeError:
            return None
        if isinstance(found, staticmethod | classmethod):
            return Known(found.__func__)
        return None if isinstance(found, property) else Known(found)


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _question(method: _Method) -> _Method:
    """Have the answers of a method of `Meanings` kept as facts."""

    @functools.wraps(method)
    def ask(self: "Meanings", *about: str) -> Any:
        question = (method.__name__, *about)
        if question not in self.facts:
            self.facts[question] = method(self, *about)
        return self.facts[question]

    return cast("_Method", ask)


class Meanings:
    """What names mean inside of one function."""

    def __init__(
        self, names: Mapping[str, Any], closure: Mapping[str, Any] | None = None, owner: type | None = None
    ) -> None:
        """Begin with no facts.

        Args:
            names: the module's globals.
            closure: the contents of the free variables that are set.
            owner: the class that the function is a method of.
        """
        self.closure: Mapping[str, Any] = closure or {}
        self.facts: dict[cache.Question, Any] = {}
        """The questions that were asked, in their order, with the answers."""
        self._names = (self.closure, names, vars(builtins))
        self._found: dict[str, Known | None] = {OWNER: Known(owner) if owner else None}

    @classmethod
    def of(cls, function: FunctionType) -> "Meanings":
        """Look from inside of *function*."""
        closure = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                closure[name] = cell.cell_contents
            except ValueError:  # not set yet
                continue
        return cls(function.__globals__, closure, _owner(function))

    def find(self, path: str) -> Known | None:
        """Tell what *path* leads to; None if that can't be told."""
        if path not in self._found:
            self._found[path] = self._find(path)
        return self._found[path]

    def _find(self, path: str) -> Known | None:
        for ending, made_by in ((MADE, _made_by), (RETURNED, _returned_by)):
            if path.endswith(ending):
                called = self.find(path.removesuffix(ending))
                made = made_by(called.value) if called and not called.instance else None
                return Known(made, instance=True) if made else None
        base, _, name = path.rpartition(".")
        if base:
            known = self.find(base)
            return known.attribute(name) if known else None
        return next((Known(names[name]) for names in self._names if name in names), None)

    def function(self, path: str) -> FunctionType | None:
        """The function that a call of *path* is known to run; None if that can't be told, or it is no function."""
        known = self.find(path)
        return None if known is None or known.instance else unwrap(known.value)

    def told(self) -> cache.Facts:
        """The facts so far, to be kept."""
        return tuple(
            (about, int(answer) if isinstance(answer, Wait) else answer) for about, answer in self.facts.items()
        )

    def untrue(self, facts: cache.Facts) -> cache.Question | None:
        """The first of *facts* that isn't true here; None if all are."""
        questions: dict[str, Callable[..., Any]] = _QUESTIONS
        for question, answer in facts:
            name, *about = question
            if questions[name](self, *about) != answer:
                return question
        return None

    # The questions.

    @_question
    def is_known(self, path: str) -> bool:
        """Whether it can be told what *path* leads to."""
        return self.find(path) is not None

    @_question
    def is_class(self, path: str) -> bool:
        """Whether *path* is a class that, as an annotation, tells whose methods are called."""
        known = self.find(path)
        return known is not None and not known.instance and isinstance(known.value, type) and _tells(known.value)

    @_question
    def is_function(self, path: str) -> bool:
        """Whether a call of *path* is known to run a function of Python's."""
        return self.function(path) is not None

    @_question
    def is_wait_for(self, path: str) -> bool:
        """Whether *path* is `asyncio.wait_for`."""
        known = self.find(path)
        return known is not None and known.value is asyncio.wait_for

    @_question
    def is_receive(self, path: str) -> bool:
        """Whether *path* is sure to be the socket's own receive, and not a method of that name of the app's."""
        function = self.function(path)
        return (
            function is not None
            and vars(WebSocket).get(function.__name__) is function
            and self._wait_of_overrides(path) is Wait.NEVER
        )

    @_question
    def makes_deadline(self, path: str) -> bool:
        """Whether a call of *path* makes a block with a deadline."""
        return self.function(path) in BLOCKS

    @_question
    def any_gives_messages(self) -> bool:
        """Whether there can be iterators over the client's messages, other than the socket's own."""
        return bool(_receives)

    @_question
    def gives_messages(self, path: str) -> bool:
        """Whether *path* is an iterator over the client's messages."""
        known = self.find(path)
        return known is not None and known.instance and vars(known.value).get("__anext__") in _receives

    @_question
    def wait(self, path: str, *arguments: str) -> Wait | None:
        """How sure it is that a call of *path* waits for the client; None if it can't be told what it leads to.

        Args:
            path: what is called.
            arguments: what is given to it and known to be instances.
        """
        known = self.find(path)
        if known is None:
            return None
        if known.instance or not callable(known.value):
            return Wait.MAYBE
        return max(self._wait_of(known.value, arguments), self._wait_of_overrides(path))

    def _wait_of(self, value: Any, arguments: tuple[str, ...]) -> Wait:
        function = unwrap(value)
        if function is None:
            return Wait.NEVER
        if function in SLEEPS:
            return Wait.TIME
        name = function.__name__
        if vars(WebSocket).get(name) is function:
            return Wait.SURELY if name in RECEIVES else Wait.NEVER
        if function in _receives:
            return Wait.SURELY
        match origin(function.__code__.co_filename):
            case Origin.OWN:
                return wait_of_function(function)
            case Origin.LIBRARY if any(map(self._is_socket, arguments)):
                return wait_of_function(function)
        return Wait.NEVER

    def _wait_of_overrides(self, path: str) -> Wait:
        """MAYBE if *path* is a method that the object's own class may have replaced."""
        base, _, name = path.rpartition(".")
        known = self.find(base) if base else None
        if known is None or not known.instance:
            return Wait.NEVER
        overridden = any(name in vars(cls) for cls in _subclasses(known.value))
        # Starlette's endpoint class is there to be derived from, by classes that may be loaded later.
        return Wait.MAYBE if overridden or known.value is WebSocketEndpoint else Wait.NEVER

    def _is_socket(self, path: str) -> bool:
        known = self.find(path)
        return known is not None and known.instance and issubclass(known.value, WebSocket)


_QUESTIONS: Final = {name: method for name, method in vars(Meanings).items() if hasattr(method, "__wrapped__")}


def _owner(function: FunctionType) -> type | None:
    """The class that *function* is a method of; None if it is none or isn't found by its name."""
    names = function.__qualname__.split(".")[:-1]
    found: Any = function.__globals__
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else vars(found).get(name)
        if not isinstance(found, type):
            return None
    return found if isinstance(found, type) and vars(found).get(function.__name__) is function else None


def _tells(cls: type) -> bool:
    """Whether an annotation with *cls* tells whose methods are called: ``Any`` and a protocol don't."""
    return cls is not Any and not getattr(cls, "_is_protocol", False)


def _subclasses(cls: type) -> Iterator[type]:
    found: list[type] = cls.__subclasses__()
    for derived in found:
        yield derived
        yield from _subclasses(derived)


def unwrap(value: object) -> FunctionType | None:
    """The Python function that calling *value* runs; None for a class, a built-in and what is no callable."""
    while True:
        if isinstance(value, FunctionType):
            return value
        if isinstance(value, functools.partial):
            value = value.func
        elif isinstance(value, MethodType):
            value = value.__func__
        elif isinstance(value, type) or not callable(value):
            return None
        else:
            found = inspect.getattr_static(type(value), "__call__")
            return found if isinstance(found, FunctionType) else None


def _made_by(value: Any) -> type | None:
    """The class of what calling *value* makes; None if that can't be told.

    What a function says that it returns is relied on where it is the framework's, `gatesocket.jobs` among it.
    """
    if isinstance(value, type):
        return value
    if not isinstance(value, FunctionType) or value.__code__.co_flags & inspect.CO_COROUTINE:
        return None
    if origin(value.__code__.co_filename) is not Origin.FRAMEWORK:
        return None
    made = _returned_by(value)
    return made if made and _tells(made) else None


def _returned_by(value: Any) -> type | None:
    """The class of what calling *value* returns, by what it says of itself."""
    returned = value if isinstance(value, type) else getattr(value, "__annotations__", {}).get("return")
    cls = get_origin(returned) or returned
    return cls if isinstance(cls, type) else None


_Receive = TypeVar("_Receive", bound=Callable[..., Any])
_receives: set[Any] = set()


def receives(function: _Receive) -> _Receive:
    """Mark a coroutine method of Gatesocket's own as one that waits for the client.

    It isn't transformed but called again when the route wakes, as Starlette's own receives are: nothing that it has to
    know of before may be in a local variable.
    """
    _receives.add(function)
    return function


waits: dict[tuple[str, CodeType], Wait] = {}
"""By module as well: code objects of different files are equal if they read the same."""
grounds: dict[tuple[str, CodeType], cache.Facts] = {}
"""What each of them follows from, where the source could be had."""


def wait_of_function(function: FunctionType) -> Wait:
    """How sure it is that a call of *function* waits for the client somewhere inside."""
    code = original(function.__code__)
    key = (module_of(function), code)
    if key not in waits:
        if not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            return Wait.MAYBE  # what it returns is what is awaited
        waits[key] = Wait.MAYBE  # of a recursive call, until we know better
        with suppress(NoSource):
            waits[key], grounds[key] = _kept_wait(function, *key) or _wait_by_source(function)
    return waits[key]


def _kept_wait(function: FunctionType, module: str, code: CodeType) -> tuple[Wait, cache.Facts] | None:
    entry = cache.find(module, code)
    if entry is None or entry.wait is None:
        return None
    wait, facts = entry.wait
    return (Wait(wait), facts) if cache.holds(code, Meanings.of(function).untrue(facts)) else None


def _wait_by_source(function: FunctionType) -> tuple[Wait, cache.Facts]:
    from gatesocket.hibernation.points import wait_by_source  # noqa: PLC0415 (only if nothing is kept of it)

    return wait_by_source(function)
