"""What the device notices about itself: looked at every few minutes, told once, and told again when it is over."""
