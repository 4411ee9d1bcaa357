"""What the Lambda handlers share."""
