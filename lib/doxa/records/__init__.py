"""The record stream: recognise, read, write, and the contract's checks."""
