"""Books by order in the files of others' tools: Databento's DBN, Parquet, LOBSTER's two files, and hftbacktest's npz."""
