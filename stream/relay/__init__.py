"""A relay of another server's public channels. It follows them as a client, and serves them under their own sequences."""
