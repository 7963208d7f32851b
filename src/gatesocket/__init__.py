"""FastAPI WebSocket routes, unmodified, on API Gateway WebSocket APIs and AWS Lambda."""
