"""The Lambda entry points of dashboard.app:app; ``template.yaml`` names them."""

from gatesocket import WebSocketHandler
from mangum import Mangum

from dashboard.app import app

websocket = WebSocketHandler(app)  # handshakes, messages, timers, ends
http = Mangum(app)  # the same app's HTTP routes
