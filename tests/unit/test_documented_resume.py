"""What docs/resume.md shows is run here as it stands there."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "resume.md").read_text(encoding="utf-8")


def test_the_app_and_its_test_do_what_the_page_says(tmp_path: Path) -> None:
    app, test = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = tmp_path / "resume.py"  # in a file, because a route hibernates by its source
    module.write_text(app, encoding="utf-8")
    names: dict[str, Any] = {"__name__": "resume"}
    exec(compile(app, str(module), "exec"), names)
    exec(test, names)

    names["test_who_comes_back_gets_what_was_said_meanwhile"]()
