"""Problems to search on: toys with a known ω*(α), and images with a supernet."""
