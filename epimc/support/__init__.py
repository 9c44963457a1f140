"""What everything else stands on: diagnostics, origins, files, documents; it imports nothing."""
