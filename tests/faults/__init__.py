"""The project under faults: killed, interrupted, cut off, fed with foreign files."""
