"""Real servers behind the contract."""
