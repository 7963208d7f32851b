"""The Lambda entry point of large broadcasts; ``template.yaml`` names it.

It stands by itself, and not with the others, because it needs no app: a function that imports none starts in half the
time, and a broadcast waits for it.
"""

from gatesocket.fanout import FanoutHandler

__all__ = ["handler"]

handler = FanoutHandler()
