"""What runs now and then: checks of a store against itself, and retention."""
