"""The read side: by place, by selection, and as it happens. Nothing here changes a row."""
