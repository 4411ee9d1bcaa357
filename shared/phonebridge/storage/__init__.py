"""The DynamoDB table and what is stored in it."""
