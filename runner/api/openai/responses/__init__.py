"""`/v1/responses`: answers that are made of items, and that a next request may go on from."""
