"""The operators: a folder for each, and the registry through which everything else meets them."""
