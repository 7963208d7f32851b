"""The chat's Lambda entry points; ``template.yaml`` names them."""

from mangum import Mangum

from chat.app import app
from gatesocket import WebSocketHandler

__all__ = ["http", "websocket"]

websocket = WebSocketHandler(app)  # $connect, $default, $disconnect and the wake queue
http = Mangum(app)  # the same app's HTTP routes
