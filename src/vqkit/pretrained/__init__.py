"""Folders that hold a model: ``config.json`` beside ``model.safetensors``, local or from the Hugging Face hub."""
