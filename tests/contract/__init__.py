"""One suite of rules for every road into the product."""
