"""What follows from the events and can be made again from them: states, answers, a whole rebuild."""
