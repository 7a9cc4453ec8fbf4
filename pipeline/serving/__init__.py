"""Uses an exported model."""
