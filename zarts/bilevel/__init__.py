"""The bilevel problem and the loop that descends it: objective and search."""
