"""The places where agents work: recorded, made before their first run, asked about, merged, and taken away after."""
