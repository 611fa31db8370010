"""The exchange behind a venue: commands in one order, into the journal, through the engine, out to the channels.

`market` is a venue with an engine, `sequencer` gives every command its place, `gathering` makes groups of them. `history` brings the state back
after a restart, `archive` keeps snapshots, `playback` shows a journal as if it were live. `trial` finds the record that ends a recovery, and
`journal_inspection`, `journal_repair` and `leave_out` work on a journal from outside. Never touches a socket.
"""
