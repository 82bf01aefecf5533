"""Between processes: broadcast, probe, backpressure, commands, stats."""
