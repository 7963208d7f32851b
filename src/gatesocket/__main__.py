"""``python -m gatesocket`` is ``gatesocket``."""

from gatesocket.cli import main

if __name__ == "__main__":
    main()
