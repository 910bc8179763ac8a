"""What a line of shell would do, as far as that can be read. What cannot be read is said, and is never harmless."""
