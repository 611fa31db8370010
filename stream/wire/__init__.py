"""The protocol between a server and its clients: messages, frames, channels and codes, their bytes, and the state that they build up.

`messages` and `frames` are the types, `fields` what these are made of, `channels` their names, `codes` every number of an error or an end.
`codec` turns them into bytes and back, `framing` these bytes into WebSocket frames, `fragments` puts a message together, `mirror` is a client's
copy of a channel, `bucket` is how both ends count what a client may send. Has no socket and no clock, and never knows who sends or receives.
Imports the engine alone.
"""
