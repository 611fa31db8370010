"""The client: it connects, signs in, subscribes, trades, and reconnects after any failure. Importing it loads no part of a server.

Programs use `client`; its requests are in `requests`, the channels to iterate over in `live`, and the exceptions in `errors`. Beneath them,
`kept_connection` is a connection that comes back, `handshake` opens a connection, and `allowance` knows how much a client may send.
`redundant` makes one feed out of several servers.
"""
