"""The Lambda entry points of assistant.app:app; ``template.yaml`` names them."""

from gatesocket import WebSocketHandler
from mangum import Mangum

from assistant.app import app

websocket = WebSocketHandler(app)  # handshakes, messages, timers, ends
http = Mangum(app)  # the same app's HTTP routes
