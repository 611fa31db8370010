"""The journal: every command on disk before the engine runs it, so that whatever was acknowledged is there after any crash.

`format` is the bytes, `files` the disk, `writer` what appends, `reader` what reads records and tells a torn tail from damage,
`snapshots` the states kept beside the records, `parts` the commands within a record, `entries` what is remembered beside them, `recovery` a state out of both.
"""
