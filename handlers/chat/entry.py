"""The chat's Lambda entry points; ``template.yaml`` names them."""

from mangum import Mangum

from chat.app import app
from gatesocket import WebSocketHandler
from gatesocket.jobs import JobsHandler

__all__ = ["http", "jobs", "websocket"]

websocket = WebSocketHandler(app)  # $connect, $default, $disconnect and the wake queue
http = Mangum(app)  # the same app's HTTP routes
jobs = JobsHandler()  # what the app's routes enqueue
