"""The room of the REST API: the native protocol over plain HTTP, for those who want no WebSocket.

A request becomes a message of the native protocol, in a session of the venue that its sender keeps for a while: so it meets the same tokens, limits, keys,
journal and refusals. Sans-IO: requests and the time in, answers out. May import `server`, whose HTTP port it is served on; only the command line imports it.
"""
