"""The one place that names the release; read by the build, the daemon and the client."""

__version__ = "0.1.0"
