"""The app's WebSocket route through Gatesocket, as it is deployed."""

from functions.echo_app import app
from gatesocket import WebSocketHandler

handler = WebSocketHandler(app)
