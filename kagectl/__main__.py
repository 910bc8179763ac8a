"""`python -m kagectl`."""

from kagectl.main import main

main()
