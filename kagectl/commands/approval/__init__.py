"""Commands about approvals: options in, calls out. `group.py` names them."""
