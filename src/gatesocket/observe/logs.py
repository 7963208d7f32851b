"""Log records that say what they are about."""

import logging

from gatesocket.observation import ongoing

__all__ = ["ConnectionFields"]


class ConnectionFields(logging.Filter):
    """Add to every log record of an observed event whose it is.

    The fields are ``connection_id``, ``request_id``, ``event``, ``route``, ``hibernation_point``, which is where the
    route has waited, and ``trace_id``; each is None where there is none.

    For a logging handler whose formatter writes what records have besides, as aws-lambda-powertools' does. It lets
    every record through, and those outside of an event as they are::

        handler.addFilter(ConnectionFields())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        now = ongoing()
        if now is not None:
            observation = now.observation
            record.connection_id = observation.connection_id
            record.request_id = observation.request_id
            record.event = observation.event
            record.route = observation.route
            record.hibernation_point = observation.woken_at
            record.trace_id = observation.trace_id
        return True
