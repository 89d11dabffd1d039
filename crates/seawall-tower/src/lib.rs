//! Seawall as a tower layer, with HTTP classification.
