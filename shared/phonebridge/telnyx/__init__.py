"""Telnyx, as both planes speak it: webhooks, Call Control, the media stream."""
