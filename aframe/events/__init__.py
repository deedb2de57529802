"""From scores to events, and from events to significance."""
