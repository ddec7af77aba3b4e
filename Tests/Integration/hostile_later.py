"""Hostile peers for what the daemon is to have: compression, TLS, PROXY headers, plain requests, limits of an address.

Not in the list of modules yet: put it there when the daemon has them all. Without the feature each case fails.
"""

import hostile_compressed
import hostile_doors
import hostile_requests

__all__ = ["hostile_compressed", "hostile_doors", "hostile_requests"]
