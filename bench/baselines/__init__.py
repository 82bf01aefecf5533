"""What the product is measured against: each server in one file."""
