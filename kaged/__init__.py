"""kaged: a service that owns AI coding agents the way an init system owns services."""
