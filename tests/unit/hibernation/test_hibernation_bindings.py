"""What a function's own names are bound to."""

import ast

from gatesocket.hibernation.bindings import assigned, defined, set_once
from support.passes import parsed


def test_what_is_local_to_a_function() -> None:
    body = """
        global g
        nonlocal n
        a = g = n = 1
        import b.x, y as c
        from z import d
        def e(inner): hidden = 1
        class f: hidden = 1
        try: pass
        except OSError as h: pass
        match a:
            case [i, *j] if i: pass
            case {1: k, **l} as m: pass
        del o
        [p for p in q]
    """
    node = parsed(body, "r, /, s, *t, u, **v")

    assert assigned(node) == frozenset("abcdefhijklmoprstuv")


def test_what_is_set_once_to_what_a_call_returns() -> None:
    node = parsed(
        """
        once = f()
        twice = f()
        twice = g()
        looped = f()
        for looped in range(3): pass
        unpacked, other = f()
        constant = 1
        def inner(): hidden = f()
        """
    )

    assert {name: ast.unparse(call) for name, call in set_once(node).items()} == {"once": "f()"}


def test_what_is_defined_undecorated_and_once() -> None:
    node = parsed(
        """
        async def once():
            async def hidden(): pass
        async def twice(): pass
        async def twice(): pass
        async def replaced(): pass
        replaced = once
        @decorator
        async def decorated(): pass
        def plain(): pass
        """
    )

    assert {name: function.lineno for name, function in defined(node).items()} == {"once": 2}
