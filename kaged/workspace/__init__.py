"""Places where agents work: git worktrees, copies, snapshots of them. One of the two parts that start processes."""
