"""The history of each account: its orders and its trades, in a database that is written behind the journal."""
