"""Steps of the first boot, in the order of runner.py. Each says what it makes, how that is checked, what a cut leaves."""
