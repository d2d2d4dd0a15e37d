"""Steps of the first boot, ordered by runner.py: what each makes, how that is checked, what a cut leaves."""
