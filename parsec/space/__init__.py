"""Search spaces and their architectures as checked data; no torch in here."""
