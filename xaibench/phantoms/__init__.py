"""Generated data: patches, radiographs, findings, planted shortcuts."""
