"""`kagectl doctor`: is this installation whole? A file for each theme, a small function for each check, one registry.

    registry.CHECKS -> examine (side by side, each within its time) -> a Verdict for each, with one fix for a problem

A check looks, and changes nothing: no daemon is started, no file is mended (`disk.fsync` makes a small one and takes
it away). It takes a `Scene`, all that is known beforehand, so a test shows it another machine. A new check is a
function in its theme's file, and a line in the registry.
"""
