"""The app's HTTP route through Mangum."""

from functions.echo_app import app
from mangum import Mangum

handler = Mangum(app, lifespan="off")
