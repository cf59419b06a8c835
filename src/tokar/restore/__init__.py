"""Where files go back to: locations, the plan (pure), placing (writes). Knows nothing of sources."""
