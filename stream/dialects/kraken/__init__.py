"""Kraken's spot protocol, version 2: market data over WebSocket, order by order too, with the venue's checksums, and the requests with which clients connect.

The source of everything here is the venue's documentation (https://docs.kraken.com/exchange/api-reference/spot-websocket-v2) and python-kraken-sdk's own
source. Symbols are base and quote, a trade's id is its sequence, and an order's id is its public number. Nothing is traded here.
"""
