"""The series that this dashboard has by itself.

They are simulated: each is a function of the time alone, so that every process says the same of every moment, and a
client that comes late sees what it has missed. In a dashboard of your own, `Sensor.value` reads a database, a metrics
service, or whatever else knows the present.
"""

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

__all__ = ["SENSORS", "Sensor"]


@dataclass(frozen=True)
class Sensor:
    """A simulated series."""

    name: str
    label: str
    unit: str
    usual: float
    """The value that it swings around."""
    swing: float
    period: float
    """Seconds from one height to the next."""

    def value(self, at: float) -> float:
        """Return the value at a moment, in seconds since the epoch."""
        wave = math.sin(math.tau * at / self.period) + 0.4 * math.sin(math.tau * at / self.period * 3.7)
        return round(self.usual + self.swing * (0.6 * wave + 0.4 * self._noise(at)), 2)

    def _noise(self, at: float) -> float:
        """Return a number between -1 and 1 that looks accidental, and is the same whenever it is asked for."""
        digest = blake2b(f"{self.name}@{at:.0f}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**31 - 1


SENSORS: Final = {
    sensor.name: sensor
    for sensor in (
        Sensor("load", "Load", "%", usual=46, swing=26, period=95),
        Sensor("requests", "Requests", "/s", usual=820, swing=310, period=140),
        Sensor("latency", "Latency", "ms", usual=38, swing=14, period=61),
        Sensor("temperature", "Intake air", "°C", usual=21.5, swing=1.8, period=300),
    )
}
