"""One market in many processes: an engine runs the commands, gateways serve its clients, and standbys can take over.

The engine sends the records of its journal. A process that replays them has the engine's whole state, under the same `(epoch, seq)`.
"""
