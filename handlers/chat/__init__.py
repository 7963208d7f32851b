"""A chat that teaches WebSockets: every lesson is one route, and every route is plain FastAPI.

Read `chat.lessons` first (echo, JSON, tokens, heavy work), then `chat.app` (the chat itself and the HTTP
routes), then `chat.messages` (what client and server say to each other). Run it with ``make run``, or like
any FastAPI app with ``uvicorn --app-dir handlers chat.app:app``.
"""
