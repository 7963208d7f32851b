"""The client for browsers: an ES module without dependencies, and its types, to be served by an app.

::

    app.mount("/client", StaticFiles(directory=DIRECTORY))

    // in a page
    import { Connection } from "/client/connection.js";
"""

from pathlib import Path
from typing import Final

__all__ = ["DIRECTORY"]

DIRECTORY: Final = Path(__file__).parent / "javascript"
"""Where ``connection.js`` and ``connection.d.ts`` are."""
