"""Commands about agents: options in, calls out. `group.py` names them."""
