"""Access: who may do what and how often (keys, limits to users, rates), and requests that come twice."""
