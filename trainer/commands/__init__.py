"""What the commands share: flags, the console, the beginning and end of their process."""
