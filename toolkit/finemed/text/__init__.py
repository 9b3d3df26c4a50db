"""Text kernels: normalise, segment, shingle, MinHash, language, quality signals, cue terms. No files, no settings."""
