"""The service around the library: API, workers, accounts, credits and the tasks that join them."""
