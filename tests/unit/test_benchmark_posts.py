"""The benchmark of posts runs, and writes what it prints; nothing here looks at how long anything takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_posts_are_measured_beside_boto3s(tmp_path: Path) -> None:
    """Without the peers that it would install."""
    command = [
        sys.executable,
        str(BENCHMARKS / "posts.py"),
        "--without-peers",
        "--samples",
        "1",
        "--results",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr

    tables = json.loads((tmp_path / "posts.json").read_text())["tables"]
    assert [table["title"] for table in tables] == [
        "Posts, plain, 0 ms until the answer",
        "Posts, plain, 10 ms until the answer",
    ]
    for table in tables:
        assert table["title"] in done.stdout
        rows = table["rows"]
        assert [row["client"] for row in rows] == [
            "Gatesocket",
            "by hand: asyncio streams",
            "boto3, 32 threads",
            "boto3, one at a time",
        ]
        assert all(row["posts/s"] > 0 and row["CPU, µs"] > 0 for row in rows)
