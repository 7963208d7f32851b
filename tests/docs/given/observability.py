from fastapi import FastAPI

app = FastAPI()


class statsd:
    timing = print
