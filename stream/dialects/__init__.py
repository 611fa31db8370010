"""The room of other venues' protocols: what speaks one of them to clients that exist, beside our own protocol and with the same market behind it.

One folder is one dialect: sans-IO, requests and the time in, bytes out. What a second one would need too lies beside the folders. `face` alone touches
sockets. A dialect reads what the feed knows and has no backlog of its own. May import `server` and what is below it; only the command line imports it.
"""
