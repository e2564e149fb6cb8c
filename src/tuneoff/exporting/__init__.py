"""Export a tuned model for other tools: as PEFT's files, or merged into plain weights."""

from tuneoff.exporting.export import Format, export_run

__all__ = ["Format", "export_run"]
