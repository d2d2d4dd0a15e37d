"""What a person does next, in the words that every method uses."""

RECOVER = (
    'open it with the recovery key of the bundle: amslpr-device unlock; '
    'then enrol again: sudo amslpr-device unlock enrol'
)
AGAIN = 'it is tried again every 30 seconds'
