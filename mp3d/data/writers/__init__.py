"""Writers in the data sets' own formats: small fixtures of closed-form numbers, and synthetic worlds."""
