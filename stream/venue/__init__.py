"""Everything about connected clients: a session for each connection, the limits, the requests of administrators, and the metrics.

It takes bytes and the time, and gives bytes. It never touches a socket and never runs a command itself. `venue_face` says what a session needs
from its venue.
"""
