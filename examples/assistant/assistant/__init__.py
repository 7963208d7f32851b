"""An assistant that streams its answers, word by word, and can be stopped."""
