"""`python -m parsec`: the command line."""

import sys

from parsec.cli import main

sys.exit(main())
