"""One market in many processes: an engine that runs the commands, gateways that serve its clients, standbys that take over.

The engine ships its journal's records; whoever replays them has the engine's whole state, under the same `(epoch, seq)`.
"""
