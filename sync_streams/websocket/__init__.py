"""The JSON socket: Streams over a plain WebSocket, without Twilio's SDK."""
