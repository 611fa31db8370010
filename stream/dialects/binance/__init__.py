"""Binance's spot protocol: REST and WebSocket, so that clients that are written against that venue find a market of ours with nothing set but URLs.

The source of everything here is the venue's documentation (https://developers.binance.com/docs/binance-spot-api-docs) and the clients' own source. Symbols are
instruments, update ids are our sequences, and a trade's id is the sequence of the trade. `streams` and `topics` are what is pushed, `endpoints` what is asked.
"""
