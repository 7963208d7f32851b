"""What the passes share."""

import ast
from pathlib import Path

from gatesocket.hibernation.syntax import children, inside

SAYING_NOTHING = (ast.boolop, ast.cmpop, ast.expr_context, ast.operator, ast.unaryop)


def test_children_are_those_of_the_standard_library_without_operators_and_contexts() -> None:
    tree = ast.parse(Path(ast.__file__).read_text(encoding="utf-8"))

    for node in ast.walk(tree):
        assert children(node) == [each for each in ast.iter_child_nodes(node) if not isinstance(each, SAYING_NOTHING)]


def test_what_is_inside_stops_at_functions_and_classes_in_it() -> None:
    body = ast.parse("a\ndef b(): c\nasync def d(): e\nclass f: g\nif h: lambda: i").body

    names = {node.id for node in inside(*body) if isinstance(node, ast.Name)}
    functions = {node.name for node in inside(*body) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    assert names == {"a", "h"}
    assert functions == {"b", "d"}
