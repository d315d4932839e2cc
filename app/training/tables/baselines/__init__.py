"""What a statistician would do with a table of tasks."""
