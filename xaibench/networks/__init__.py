"""Parts of networks by name, and weights from files."""
