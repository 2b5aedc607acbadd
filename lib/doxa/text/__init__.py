"""Tokenizer (the Rust `tokenizers` library, no torch), windows over long texts, length-sorted batches."""
