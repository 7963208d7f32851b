"""The app's HTTP route through Mangum."""

from mangum import Mangum

from functions.echo_app import app

handler = Mangum(app, lifespan="off")
