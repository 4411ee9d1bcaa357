"""The Telnyx protocols that both planes use: webhooks, Call Control, and the media stream."""
