"""Models for tables of tasks: what they are compared with, and what they are made of."""
