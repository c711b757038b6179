"""What knows no network: errors and their wording, files, tables; `machine` is its own room."""
