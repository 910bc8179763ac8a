"""Commands about events: options in, calls out. `group.py` names them."""
