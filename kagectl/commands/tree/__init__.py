"""Commands about trees: options in, calls out. `group.py` names them."""
