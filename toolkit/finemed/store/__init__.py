"""What a run keeps on disk: atomic files, shards, the manifest, the ledger, the journal, the dedup index."""
