from gatesocket import ConnectionManager
from support.pages import silent_socket

manager = ConnectionManager()

websocket = silent_socket()
await manager.connect(websocket)
