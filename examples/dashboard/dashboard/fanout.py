"""The Lambda entry point of large broadcasts; ``template.yaml`` names it.

It stands by itself, and not with the others, because it needs no app: a function that
imports none starts sooner.
"""

from gatesocket.fanout import FanoutHandler

handler = FanoutHandler()
