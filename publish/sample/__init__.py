"""The sample: small archives in upstream's formats, drawn by a program."""
