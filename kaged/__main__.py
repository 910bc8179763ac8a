"""`python -m kaged`."""

import sys

from kaged.entry import main

sys.exit(main())
