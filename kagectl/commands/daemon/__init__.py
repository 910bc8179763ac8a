"""Commands about the daemon: options in, calls out. `group.py` names them."""
