"""Local stand-ins for the AWS services that template.yaml describes."""
