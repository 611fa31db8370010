"""The client: it connects, signs in, subscribes, trades, and comes back from anything. Importing it loads nothing of a server.

`client` is what a program talks to, `requests` its verbs, `live` the channels that one iterates over, `errors` what is raised. Beneath them,
`kept_connection` is a connection that comes back, `handshake` how one begins, and `allowance` what may be sent; `redundant` makes one feed
out of several servers.
"""
