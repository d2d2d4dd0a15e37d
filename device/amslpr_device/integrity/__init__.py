"""Files of the device against the manifest that was built into its image, moved on by signed upgrades only."""
