"""`python -m deltabook` is `deltabook`."""

import sys

from stream.cli import main

sys.exit(main())
