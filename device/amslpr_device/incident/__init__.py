"""What a person needs when a device may have been taken over: isolate it, collect evidence, ask others for help."""
