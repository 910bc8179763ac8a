"""What adapters share: lines out of bytes, objects out of lines, memory between two pieces of output. Pure.

clipping <- fields <- memory <- hearing <- json_rpc; lines <- hearing. No protocol of any agent is known here.
"""
