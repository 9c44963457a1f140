"""What the commands of the driver come to, and the page about all results."""
