"""Programs that use an export. They do not need this package."""
