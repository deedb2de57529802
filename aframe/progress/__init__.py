"""What work says of itself: how far it is, and what it is at work on."""
