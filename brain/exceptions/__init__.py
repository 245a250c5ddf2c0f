"""What is answered by a rule and not by the model: the matrix, and how a message is known for it."""
