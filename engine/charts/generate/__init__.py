"""What is drawn of texts: tokens with their losses, guesses, and a text that falls apart."""
