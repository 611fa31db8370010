"""Everybody who is connected: a session for each connection, the limits, the administrators' requests, the figures.

Takes bytes and the time, gives bytes: never touches a socket, and never runs a command itself; `market_face` is what it needs of a market.
"""
