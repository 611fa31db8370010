"""A bad network to test a client on: a proxy in front of a server. Each of its connections gets a fault, from a script or from a seed.

    async with FaultProxy("ws://127.0.0.1:8080/v1", scripted("closed-at-once*3 cut:5 pass")) as proxy:
        async with connect(proxy.url) as client:    # comes back three times, and once more from the middle of the fifth frame
            ...
"""

from stream.fault.plan import FaultError, Plan, kinds, scripted, seeded
from stream.fault.proxy import FaultProxy

__all__ = ["FaultError", "FaultProxy", "Plan", "kinds", "scripted", "seeded"]
