"""What lies on disk: atomic files, shards, the manifest, the ledger, the journal, dataset readers."""
