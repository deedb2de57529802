"""What a run will cost before it has run: amounts of work, how fast this machine does it, and what comes of both."""
