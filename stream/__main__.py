"""`python -m stream` is `deltabook`."""

import sys

from stream.cli import main

sys.exit(main())
