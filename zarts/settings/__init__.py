"""Settings: nested tables, the sections of a config, named presets. No torch in here."""
