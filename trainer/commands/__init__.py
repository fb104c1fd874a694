"""Parts that the commands share: flags, output, and the start and exit of their process."""
