"""From the words of each kind of agent to actions: a file for each kind of adapter."""
