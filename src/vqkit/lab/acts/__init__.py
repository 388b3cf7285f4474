"""What the pages of the lab compute, without gradio: NumPy, torch and Pillow in and out, one file an act."""
