"""Parts of the page. What others wrote reaches it by ``markdown`` and ``code`` only."""
