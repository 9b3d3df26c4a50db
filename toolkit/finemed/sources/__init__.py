"""What comes in: files, folders, URLs and Hub datasets as records, conversations and tables."""
