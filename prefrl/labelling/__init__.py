"""People as labellers: the server behind the label page, the clips it shows, and what their answers say about them."""
