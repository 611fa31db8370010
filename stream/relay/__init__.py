"""A server of a server's public channels: it follows them as a client, and serves them under their own sequences."""
