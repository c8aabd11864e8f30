"""How much of what answers a question a service finds, over conversations with questions and evidence."""
