"""The write side: one order, durable before anybody hears of it, hashed, de-duplicated, indexed."""
