"""What runs on the device: first boot, its own command, backups; and the site-file validator, which hosts run too."""
