"""The journal: every command on disk before the engine runs it, so that whatever was acknowledged is there after any crash.

`format` is the bytes, `files` the disk, `writer` what appends, `reader` what reads records and tells a torn tail from damage,
`snapshots` the states kept beside the records, `recovery` a state out of both; `tools` and `repair` are for who looks at one from outside.
"""
