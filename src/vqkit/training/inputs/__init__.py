"""What a run trains on: held-out items, labels, batch size."""
