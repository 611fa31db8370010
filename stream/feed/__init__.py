"""What each channel says, and to whom and when it is sent: events become channels, a conflation decides what is due, the hub serves all who listen.

Knows no connection: what it has to say goes into a subscriber's outbox.
"""
