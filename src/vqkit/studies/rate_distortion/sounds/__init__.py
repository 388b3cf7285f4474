"""The study of rate and distortion on sound: a model's own files beside Opus, MP3 and Vorbis."""
