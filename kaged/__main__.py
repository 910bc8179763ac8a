"""`python -m kaged`."""

import sys

from kaged.cli import main

sys.exit(main())
