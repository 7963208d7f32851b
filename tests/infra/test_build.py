"""What follows `sam build`: one package, with byte code, the same for the same input, and nothing in it by mistake."""

import importlib
import marshal
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from gatesocket.hibernation.origin import Origin, origin

ROOT = Path(__file__).parents[2]
RUNTIME = f"python3.{sys.version_info.minor}"
TEMPLATE = """
Globals:
  Function:
    CodeUri: handlers/
    Runtime: {runtime}
Resources:
  One:
    Properties:
      CodeUri: One
  Two:
    Properties:
      CodeUri: Two
"""


@pytest.fixture
def finish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "infra/build")
    return importlib.import_module("finish")


def built(
    directory: Path,
    *,
    runtime: str = RUNTIME,
    app: str | None = None,
    source: str = "NAMES = {'a', 'b', 'c'}\n\n\ndef fail():\n    raise ValueError\n",
    **more: str,
) -> Path:
    """Make what `sam build` leaves: the same package for each of two functions, and in the second *more* files."""
    directory.mkdir()
    metadata = f"Metadata:\n  Gatesocket:\n    App: {app}\n" if app else ""
    (directory / "template.yaml").write_text(metadata + TEMPLATE.format(runtime=runtime), encoding="utf-8")
    for function in ("One", "Two"):
        package = directory / function
        (package / "chat").mkdir(parents=True)
        (package / "chat/app.py").write_text(source)
        (package / "chat/__pycache__").mkdir()
        (package / "chat/__pycache__/app.cpython-30.pyc").write_bytes(b"old")
        (package / "bin").mkdir()
        (package / "bin/fastapi").write_text(f"#!{directory}/python")
        (package / "fastapi-1.dist-info").mkdir()
        (package / "fastapi-1.dist-info/RECORD").write_text(
            f"../../bin/fastapi,sha256=1,30\nfastapi/py.typed,sha256={len(str(directory))},0\nremoved.py,,\n"
        )
        (package / "fastapi").mkdir()
        (package / "fastapi/py.typed").touch()
        (package / "fastapi-1.dist-info/METADATA").write_text("Name: fastapi")
    for name, text in more.items():
        (directory / "Two" / name).mkdir()
        (directory / "Two" / name / "__init__.py").write_text(text)
    return directory


def test_functions_share_one_package_that_has_byte_code_and_nothing_of_its_builder(
    finish: ModuleType, tmp_path: Path
) -> None:
    package = finish.finish(built(tmp_path / "build"), sys.executable)
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["Package", "template.yaml"]
    assert re.findall(r"CodeUri: (\S+)", (tmp_path / "build/template.yaml").read_text()) == [
        "handlers/",
        "Package",
        "Package",
    ]
    assert [path.relative_to(package).as_posix() for path in finish.files(package)] == [
        f"chat/__pycache__/app.cpython-3{sys.version_info.minor}.pyc",
        "chat/app.py",
        "fastapi/py.typed",
        "fastapi-1.dist-info/METADATA",
        "fastapi-1.dist-info/RECORD",
    ]


def test_dependencies_are_still_told_from_the_app(finish: ModuleType, tmp_path: Path) -> None:
    package = finish.finish(built(tmp_path / "build"), sys.executable)
    assert (package / "fastapi-1.dist-info/RECORD").read_text() == "fastapi/py.typed,,\n"
    assert origin(str(package / "fastapi/py.typed")) is Origin.LIBRARY
    assert origin(str(package / "chat/app.py")) is Origin.OWN


APP = """
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute


async def chat(websocket):
    await websocket.accept()
    await websocket.receive_text()


app = Starlette(routes=[WebSocketRoute("/", chat)])
"""


def test_what_the_apps_routes_are_transformed_to_is_in_the_package(finish: ModuleType, tmp_path: Path) -> None:
    packages = [
        finish.finish(built(tmp_path / name, app="chat.app:app", source=APP), sys.executable)
        for name in ("here", "there")
    ]
    [kept] = packages[0].rglob("*.gatesocket")
    assert kept.relative_to(packages[0]) == Path(f"chat/__pycache__/app.cpython-3{sys.version_info.minor}.gatesocket")
    assert kept.stat().st_mtime == finish.NO_TIME
    assert finish.digest(packages[0]) == finish.digest(packages[1])


def test_an_app_that_cannot_be_prepared_is_not_built(finish: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(finish.Unfit, match=r"chat.app:app can't be prepared by .*ModuleNotFoundError: .*'orjsonne'"):
        finish.finish(built(tmp_path / "build", app="chat.app:app", source="import orjsonne"), sys.executable)


def test_byte_code_is_taken_without_a_look_at_its_source_and_names_files_as_lambda_has_them(
    finish: ModuleType, tmp_path: Path
) -> None:
    package = finish.finish(built(tmp_path / "build"), sys.executable)
    [compiled] = package.rglob("*.pyc")
    flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
    assert flags == 0b01, "hashed, and not checked: PEP 552"
    assert marshal.loads(compiled.read_bytes()[16:]).co_filename == "/var/task/chat/app.py"


def test_two_builds_of_the_same_in_two_places_are_the_same(finish: ModuleType, tmp_path: Path) -> None:
    digests = {finish.digest(finish.finish(built(tmp_path / name), sys.executable)) for name in ("here", "there")}
    assert len(digests) == 1
    times = {path.stat().st_mtime for name in ("here", "there") for path in (tmp_path / name / "Package").rglob("*")}
    assert times == {finish.NO_TIME}


def test_whoever_runs_the_package_may_read_it(finish: ModuleType, tmp_path: Path) -> None:
    """Lambda isn't who built it, and a umask may have hidden it from others."""
    build = built(tmp_path / "build")
    for path in sorted(build.rglob("*"), reverse=True):
        path.chmod(0o700 if path.is_dir() else 0o600)
    package = finish.finish(build, sys.executable)
    assert {path.stat().st_mode & 0o777 for path in finish.files(package)} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in [package, *package.rglob("*")] if path.is_dir()} == {0o755}


def test_a_second_build_is_compared_file_by_file(
    finish: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    reproducible = importlib.import_module("reproducible")
    first, second = (finish.finish(built(tmp_path / name), sys.executable) for name in ("first", "second"))
    assert reproducible.different(first, second) == []
    (second / "chat/app.py").write_text("NAMES = {}\n")
    (first / "more.txt").touch()
    assert reproducible.different(first, second) == ["chat/app.py", "more.txt"]


def test_there_has_to_be_a_first_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "infra/checks")
    reproducible = importlib.import_module("reproducible")
    monkeypatch.setattr(reproducible, "ROOT", tmp_path)
    assert reproducible.main([]) == 1
    assert "run make build first" in capsys.readouterr().err


def test_finishing_twice_changes_nothing(finish: ModuleType, tmp_path: Path) -> None:
    first = finish.digest(finish.finish(built(tmp_path / "build"), sys.executable))
    assert finish.digest(finish.finish(tmp_path / "build", sys.executable)) == first


def test_what_belongs_elsewhere_is_refused(finish: ModuleType, tmp_path: Path) -> None:
    build = built(tmp_path / "build")
    for function in ("One", "Two"):
        (build / function / "boto3").mkdir()
        (build / function / "uvicorn").mkdir()
    with pytest.raises(finish.Unfit, match="holds boto3, uvicorn; take what brings them out of handlers/requirements"):
        finish.finish(build, sys.executable)


def test_a_package_that_lambda_would_not_take_is_refused(
    finish: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "LARGEST", 10)
    with pytest.raises(finish.Unfit, match=r"has \d+ bytes, and Lambda takes 10"):
        finish.finish(built(tmp_path / "build"), sys.executable)


def test_functions_of_two_packages_are_refused(finish: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(finish.Unfit, match=r"Two isn't what .*One is"):
        finish.finish(built(tmp_path / "build", extra="x = 1"), sys.executable)


def test_another_python_than_the_functions_is_refused(finish: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(finish.Unfit, match=r"isn't python3\.99; name one that is: --python"):
        finish.finish(built(tmp_path / "build", runtime="python3.99"), sys.executable)
    with pytest.raises(finish.Unfit, match=r"there is no python3\.99 to compile with"):
        finish.finish(tmp_path / "build")


@pytest.mark.parametrize(
    ("template", "says"),
    [(None, "run sam build first"), ("Resources: {}", r"expected functions with one runtime, got 0 with \[\]")],
)
def test_what_is_no_build_is_refused_by_the_command(
    finish: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str | None, says: str
) -> None:
    if template is not None:
        (tmp_path / "template.yaml").write_text(template, encoding="utf-8")
    assert finish.main([str(tmp_path)]) == 1
    assert re.search(f"^build: .*{says}", capsys.readouterr().err)


def test_the_command_says_what_it_has_made(
    finish: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finish.main([str(built(tmp_path / "build")), "--python", sys.executable]) == 0
    size, digest = capsys.readouterr().out.splitlines()
    assert size.endswith("Package: 0.0 MB unzipped, 1 modules compiled, routes kept of 0")
    assert digest == f"sha256 {finish.digest(tmp_path / 'build/Package')}"


def test_a_change_of_the_library_is_built() -> None:
    """SAM's cache of dependencies looks at handlers/requirements.txt, in which the library is a dot."""
    assert "." in [line[:1] for line in (ROOT / "handlers/requirements.txt").read_text(encoding="utf-8").splitlines()]
    configured = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    assert configured["default"]["build"]["parameters"]["cached"] is False


def test_the_functions_requirements_bring_no_twin_of_what_lambda_has() -> None:
    wanted = (ROOT / "handlers/requirements.txt").read_text(encoding="utf-8")
    names = [line for line in wanted.splitlines() if not line.startswith("#")]
    assert [re.split(r"[><=]", name)[0] for name in names] == [".", "fastapi", "mangum", "pydantic-settings"]
