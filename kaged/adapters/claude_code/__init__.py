"""Claude Code over its control protocol: `adapter` joins what we say (`words`) and what we hear (`hearing`). Pure."""
