"""Programs that show how an export is used. They need nothing of this package."""
