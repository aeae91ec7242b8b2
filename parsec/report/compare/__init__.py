"""Methods beside each other: what each found, what it cost, and how sure the difference to PARSEC is."""
