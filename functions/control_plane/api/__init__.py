"""The HTTP API: routes, requests, responses and errors."""
