"""One suite of rules for every transport into the product."""
