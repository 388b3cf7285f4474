"""Components that pages share: what gradio does not have, as HTML with a script of its own beside it."""
