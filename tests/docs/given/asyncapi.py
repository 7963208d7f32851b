from pydantic import BaseModel


class Say(BaseModel):
    text: str


class Leave(BaseModel):
    pass


class Said(BaseModel):
    text: str
