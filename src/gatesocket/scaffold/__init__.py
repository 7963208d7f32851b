"""What ``gatesocket init`` writes for an app that is there already: entry points, a template, a first test.

=========== ==================================================================
`needs`     what the app uses, as far as its source and its routes tell
`addresses` which of its WebSocket routes can be opened without knowing more
`text`      the files of ``files/``, filled in
`project`   where all of it goes, and whether anything is in the way
=========== ==================================================================
"""
