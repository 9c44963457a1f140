"""The IR as text: grammar, parser, printer, and the page that documents the ops."""
