"""Reading, chunking, embedding, indexing and retrieving a company's documents."""
