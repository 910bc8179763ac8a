"""The composition: the one place that builds every part, in order, and takes it down in reverse."""
