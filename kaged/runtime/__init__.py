"""The asyncio shell around the pure core: engine, children, timers, recovery."""
