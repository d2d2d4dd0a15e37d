"""A certificate that an authority of the operator signed, for the key that the device made."""
