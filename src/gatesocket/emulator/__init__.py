"""API Gateway's WebSocket APIs on one machine: a gateway model without I/O, and the shells around it."""
