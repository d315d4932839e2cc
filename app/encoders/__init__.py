"""Encoders turn what people post into what a network sees: numbers, tables and images, one file each."""
