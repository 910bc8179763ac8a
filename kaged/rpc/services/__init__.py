"""One file per service: convert, submit, convert back."""
