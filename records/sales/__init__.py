"""Tasks of those who sell: whose they are, what they may bring, what is mailed about them."""
