"""What a deployment costs in a month: prices, measured operations and the template, put together as a bill."""
